"""Counts as providers give them: whole numbers, or nothing that may be believed (reliability B19)."""

from __future__ import annotations

from typing import Any

import orjson

TOKENS_MAX = 10**12


class Tokens(int):
    """So many tokens of a prompt, in place of a text that is not there to be counted."""


def tokens(value: Any) -> int | None:
    """A number of tokens; None where there is none, or one that cannot be."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_MAX:
        return None
    return value


def details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    found = usage.get(name)
    return found if isinstance(found, dict) else {}


def loaded(raw: bytes) -> dict[str, Any] | None:
    """The object of an event's data; None for anything else."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
