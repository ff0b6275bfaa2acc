"""JSON as the standard says it, and nothing more.

Rules: UTF-8 only, a byte order mark is dropped; of duplicate keys the last one wins; trailing commas, comments, NaN and
Infinity are refused; half of a surrogate pair becomes U+FFFD, because senders cut text in the middle of an emoji.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from tracking.ingest.decoded import DecodeError
from tracking.ingest.prescan import check_json

_BOM = b"\xef\xbb\xbf"
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF_PAIR = re.compile(rb"%s(?!%s)|(?<!%s)%s" % (_HIGH, _LOW, _HIGH, _LOW))


def loads(body: bytes) -> Any:
    """The value of a JSON body. Raises DecodeError with the place, and TooLarge for a bomb (see ``prescan``)."""
    if body.startswith(_BOM):
        body = body[3:]
    check_json(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        repaired = _without_half_pairs(body)
        if repaired is None:
            raise DecodeError(_where(error)) from None
    try:
        return orjson.loads(repaired)
    except orjson.JSONDecodeError as error:
        raise DecodeError(_where(error)) from None


def _without_half_pairs(body: bytes) -> bytes | None:
    # An escaped backslash is first written another way, so that each \u that is left starts an escape.
    plain = body.replace(rb"\\", rb"\u005c")
    repaired, count = _HALF_PAIR.subn(rb"\\ufffd", plain)
    return repaired if count else None


def _where(error: orjson.JSONDecodeError) -> str:
    return f"The body is not JSON: line {error.lineno}, column {error.colno}."
