"""OTLP requests byte by byte, for what no encoder would send."""

from __future__ import annotations

import json

import pytest

from tests.tracking.ingest.otlp_bodies import SPAN, TRACE, as_json, protobuf
from tracking.ingest.otlp import (
    decode_json,
    decode_protobuf,
)

BOTH = pytest.mark.parametrize(
    ("encode", "decode"), [(protobuf, decode_protobuf), (as_json, decode_json)], ids=["protobuf", "json"]
)


def delimited(number: int, content: bytes) -> bytes:
    """A length-prefixed field of the wire format."""
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def request_of(*spans: bytes) -> bytes:
    return delimited(1, delimited(2, b"".join(delimited(2, one) for one in spans)))


def json_request(*spans: object) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


GOOD = bytes.fromhex(f"0a10{TRACE}1208{SPAN}")
