"""Tables as CSV that a spreadsheet opens without running anything in it.

A cell of text that a spreadsheet could read as a formula is led by an apostrophe, as OWASP's note on CSV injection
advises; numbers are written as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

_FORMULA_STARTS = frozenset("=+-@\t\r\n\0＝＋－＠|%")

Cell = str | int | float | Decimal | None


def guarded(value: Cell) -> str:
    """One cell's text. None, which is unknown, is an empty cell; a Decimal keeps its digits, without exponent."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if not isinstance(value, str):
        return str(value)
    text = value.replace("\0", "")
    if value[:1] in _FORMULA_STARTS and value or text.lstrip()[:1] in _FORMULA_STARTS and text.strip():
        return f"'{text}"
    return text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """RFC 4180, UTF-8 with a byte order mark in front, so that spreadsheets read names right."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([guarded(name) for name in header])
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return out.getvalue()
