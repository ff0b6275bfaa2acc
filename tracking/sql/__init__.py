"""Named SQL: text in files beside this one, each statement under a line ``-- name: what it does``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_NAME = re.compile(r"^-- (\w+): ", re.MULTILINE)


@cache
def statements(file: str) -> dict[str, str]:
    """The statements of ``file``.sql by name."""
    body = (_HERE / f"{file}.sql").read_text()
    marks = list(_NAME.finditer(body))
    ends = [mark.start() for mark in marks[1:]] + [len(body)]
    return {m.group(1): body[m.start() : end].strip().rstrip(";") for m, end in zip(marks, ends, strict=True)}
