"""Compressed bodies, unpacked under a cap: one coding, one member, nothing behind it."""

from __future__ import annotations

import zlib

import zstandard

from tracking.errors import TooLarge
from tracking.ingest.decoded import DecodeError

CODINGS = ("gzip", "deflate", "zstd")
_PIECE = 256 * 2**10
_ZSTD_STEP = 128  # bytes fed at once; four bytes can say 128 KiB, so a step stays below 5 MiB
_ZSTD_WINDOW_MAX = 8 * 2**20  # RFC 8878's recommended maximum for interchange


def inflate(body: bytes, coding: str, *, limit: int) -> bytes:
    """The unpacked body. Raises TooLarge beyond ``limit`` bytes and DecodeError for what is not ``coding``, is cut, or
    has something behind its end. Never holds much more than ``limit``."""
    if coding == "zstd":
        return _unzstd(body, limit)
    if coding == "gzip":
        return _unzip(body, zlib.decompressobj(wbits=31), coding, limit)
    # "deflate" means zlib's format; some clients send it bare
    is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _unzip(body, zlib.decompressobj(wbits=15 if is_zlib else -15), coding, limit)


def _unzip(body: bytes, unpacker: zlib._Decompress, coding: str, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        rest = body
        while not unpacker.eof:
            piece = unpacker.decompress(rest, min(_PIECE, limit + 1 - size))
            rest = unpacker.unconsumed_tail
            size += len(piece)
            if size > limit:
                raise TooLarge(_too_large(limit))
            if not piece and not rest and not unpacker.eof:
                raise DecodeError(f"The {coding} body was cut before its end.")
            pieces.append(piece)
    except zlib.error:
        raise DecodeError(f"The body says it is {coding} and is not.") from None
    if unpacker.unused_data:
        raise DecodeError(f"Something follows the end of the {coding} body.")
    return b"".join(pieces)


def _unzstd(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = at = 0
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX).decompressobj()
    try:
        while at < len(body) and not unpacker.eof:
            piece = unpacker.decompress(body[at : at + _ZSTD_STEP])
            at += _ZSTD_STEP
            size += len(piece)
            if size > limit:
                raise TooLarge(_too_large(limit))
            pieces.append(piece)
    except zstandard.ZstdError:
        raise DecodeError("The body says it is zstd and is not.") from None
    if not unpacker.eof:
        raise DecodeError("The zstd body was cut before its end.")
    if unpacker.unused_data or at < len(body):
        raise DecodeError("Something follows the end of the zstd body.")
    return b"".join(pieces)


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit:,} bytes once unpacked. Send it in smaller parts."
