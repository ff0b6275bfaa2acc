"""Payload chunks: what several spans of a run came with, compressed together.

One chunk holds a run's share of one batch, so that similar texts compress against each other and a batch costs one
row a run instead of one a span. A chunk is closed at CHUNK_BYTES, so that opening one span stays cheap.
"""

from __future__ import annotations

import threading
from typing import Any, cast

import orjson
import zstandard

CHUNK_BYTES = 256 * 1024
UNPACKED_BYTES_MAX = 64 * 2**20
LEVEL = 3

_local = threading.local()


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=LEVEL)
    return cast(zstandard.ZstdCompressor, _local.compressor)


def join(parts: list[bytes]) -> bytes:
    """JSON objects, already encoded, as one JSON list."""
    return b"[" + b",".join(parts) + b"]"


def compress(raw: bytes) -> bytes:
    return _compressor().compress(raw)


def pack(entries: list[dict[str, Any]]) -> bytes:
    return compress(orjson.dumps(entries))


def unpack(body: bytes | memoryview) -> list[dict[str, Any]]:
    """Raises ``zstandard.ZstdError`` on a damaged chunk; never more than UNPACKED_BYTES_MAX in memory."""
    raw = zstandard.ZstdDecompressor().decompress(bytes(body), max_output_size=UNPACKED_BYTES_MAX)
    return cast("list[dict[str, Any]]", orjson.loads(raw))
