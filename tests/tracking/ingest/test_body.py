"""How bytes are read: caps, codings, deadlines, lengths. The numbers I… are cases of the catalogue of ingest faults."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard
from django.conf import settings

from tracking.errors import Invalid, TooLarge, Unavailable
from tracking.ingest.body import (
    JSON,
    PROTOBUF,
    Envelope,
    InFlight,
    Stream,
    TooSlow,
    UnsupportedMedia,
    envelope,
    read,
)
from tracking.ingest.decoded import DecodeError
from tracking.ingest.inflate import inflate

BODY = b"a body of some length, long enough to be worth packing " * 40
LIMIT = 20 * 2**20


def packed(body: bytes, coding: str) -> bytes:
    if coding == "gzip":
        return gzip.compress(body)
    if coding == "deflate":
        return zlib.compress(body)
    if coding == "bare deflate":
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(body) + packer.flush()
    return zstandard.ZstdCompressor().compress(body)


def a_gibibyte_of_zeros(coding: str) -> bytes:
    """Made of one packed mebibyte many times over; its end is missing, and nobody should get that far."""
    piece = bytes(2**20)
    if coding == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
        return b"".join(packer.compress(piece) for _ in range(1024)) + packer.flush()
    gzipper = zlib.compressobj(9, wbits=31)
    head = gzipper.compress(piece) + gzipper.flush(zlib.Z_FULL_FLUSH)
    return head + (gzipper.compress(piece) + gzipper.flush(zlib.Z_FULL_FLUSH)) * 1023


# --- codings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "deflate", "bare deflate", "zstd"])
@pytest.mark.parametrize("body", [b"", b"x", BODY, BODY * 1000], ids=["empty", "one", "some", "large"])
def test_a_packed_body_is_unpacked(coding: str, body: bytes) -> None:
    """I6"""
    assert inflate(packed(body, coding), coding.removeprefix("bare "), limit=LIMIT) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: BODY, "is not|was cut"),
        (lambda raw: raw[:-1], "was cut|is not"),
        (lambda raw: raw[: len(raw) // 2], "was cut|is not"),
        (lambda raw: b"", "was cut"),
        (lambda raw: raw + b"x", "Something follows"),
        (lambda raw: raw + raw, "Something follows"),
        (lambda raw: bytes([raw[0] ^ 0xFF]) + raw[1:], "is not|was cut"),
    ],
    ids=["plain", "cut-at-the-end", "cut-in-the-middle", "empty", "junk", "two-members", "spoiled"],
)
def test_a_body_that_is_not_what_its_coding_says_is_refused(coding: str, spoil: Any, message: str) -> None:
    """I6, I7 (several members)"""
    with pytest.raises(DecodeError, match=message):
        inflate(spoil(packed(BODY, coding)), coding, limit=LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_the_limit_is_exact(coding: str) -> None:
    raw = packed(BODY, coding)
    assert inflate(raw, coding, limit=len(BODY)) == BODY
    with pytest.raises(TooLarge, match=f"{len(BODY) - 1:,} bytes"):
        inflate(raw, coding, limit=len(BODY) - 1)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_gibibyte_of_zeros_is_refused_without_unpacking_it(coding: str) -> None:
    """I7"""
    bomb = a_gibibyte_of_zeros(coding)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        inflate(bomb, coding, limit=LIMIT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024, "KiB"


def test_gzip_of_gzip_is_unpacked_once() -> None:
    """I7"""
    inner = gzip.compress(BODY)
    assert inflate(gzip.compress(inner), "gzip", limit=LIMIT) == inner


def test_a_zstd_window_larger_than_the_format_recommends_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = packer.compress(BODY) + packer.flush()
    with pytest.raises(DecodeError):
        inflate(raw, "zstd", limit=LIMIT)


# --- what the headers say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/x-protobuf", "application/x-protobuf"),
        (b"application/protobuf", "application/protobuf"),
        (b"application/json", "application/json"),
        (b"Application/JSON; Charset=UTF-8", "application/json"),
        (b'application/json;charset="utf-8"', "application/json"),
        (b"application/json ; boundary=x", "application/json"),
    ],
)
def test_content_types_are_read_whatever_their_case(content_type: bytes, expected: str) -> None:
    """I5"""
    got = envelope({b"content-type": content_type}, accepts=(*PROTOBUF, *JSON))
    assert got == Envelope(expected, "", None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"content-type": b""},
        {b"content-type": b"text/plain"},
        {b"content-type": b"application/x-www-form-urlencoded"},
        {b"content-type": b"application/grpc"},
        {b"content-type": b"\xff\xfe"},
        {b"content-type": b"application/json; charset=utf-16"},
        {b"content-type": b"application/json", b"content-encoding": b"br"},
        {b"content-type": b"application/json", b"content-encoding": b"gzip, gzip"},
        {b"content-type": b"application/json", b"content-encoding": b"gzip,identity"},
        {b"content-type": b"application/json", b"content-encoding": b"compress"},
    ],
)
def test_other_types_charsets_and_codings_are_refused(headers: dict[bytes, bytes]) -> None:
    """I5, I6"""
    with pytest.raises(UnsupportedMedia):
        envelope(headers, accepts=(*PROTOBUF, *JSON))


@pytest.mark.parametrize(
    "headers",
    [
        {b"content-length": b"-1"},
        {b"content-length": b"ten"},
        {b"content-length": b"1", b"transfer-encoding": b"chunked"},
    ],
)
def test_a_length_that_lies_is_refused(headers: dict[bytes, bytes]) -> None:
    """I41"""
    with pytest.raises(Invalid):
        envelope({b"content-type": b"application/json", **headers}, accepts=JSON)


# --- reading --------------------------------------------------------------------------------------------------------


def messages_of(*pieces: bytes, ends: bool = True) -> Stream:
    def all_of_them() -> Iterator[dict[str, Any]]:
        for index, piece in enumerate(pieces):
            yield {"type": "http.request", "body": piece, "more_body": not ends or index < len(pieces) - 1}

    messages = all_of_them()

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        return {"type": "http.disconnect"}

    return Stream(receive)


def take(stream: Stream, *, length: int | None = None, coding: str = "", holding: InFlight | None = None) -> bytes:
    with (holding or InFlight(2**30)).hold() as hold:
        return asyncio.run(read(stream, Envelope("application/json", coding, length), hold))


def test_a_body_in_pieces_is_put_together() -> None:
    """I3"""
    assert take(messages_of(b"ab", b"", b"c", b"")) == b"abc"
    assert take(messages_of(b"")) == b""


@pytest.mark.parametrize("length", [2, 4])
def test_a_body_of_another_length_than_announced_is_refused(length: int) -> None:
    """I41"""
    with pytest.raises(Invalid, match=f"says {length} bytes and 3 came"):
        take(messages_of(b"abc"), length=length)


def test_a_body_that_ends_before_its_end_is_refused() -> None:
    """I41"""
    with pytest.raises(Invalid, match="ended before"):
        take(messages_of(b"abc", ends=False))


def test_an_announced_length_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    stream = messages_of(b"abc")
    with pytest.raises(TooLarge):
        take(stream, length=settings.LIMITS["body_bytes"] + 1)
    assert not stream.is_ended


def test_a_body_over_the_limit_is_refused_while_it_comes() -> None:
    piece = bytes(2**20)
    with pytest.raises(TooLarge):
        take(messages_of(*[piece] * 21))
    with pytest.raises(TooLarge):
        take(messages_of(*[piece] * 9), coding="gzip")
    assert len(take(messages_of(*[piece] * 20))) == settings.LIMITS["body_bytes"]


def test_a_body_that_does_not_come_is_cut_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """I40"""
    monkeypatch.setitem(settings.LIMITS, "body_seconds", 0)

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(TooSlow):
        take(Stream(never))


def test_a_process_holds_so_many_bytes_and_gives_them_back() -> None:
    """I36"""
    holding = InFlight(5)
    with holding.hold() as first:
        first.grow(3)
        with pytest.raises(Unavailable):
            take(messages_of(b"abc"), holding=holding)
        assert holding.held == 3, "what a refused request had taken is given back"
        assert take(messages_of(b"ab"), holding=holding) == b"ab"
    assert holding.held == 0
    assert take(messages_of(b"abcde"), holding=holding) == b"abcde"


def test_the_rest_of_a_refused_body_is_let_run_out() -> None:
    stream = messages_of(b"a", b"b", b"c")
    asyncio.run(stream.finish(TooLarge()))
    assert stream.is_ended
    endless = messages_of(*[bytes(2**20)] * 9, ends=False)
    asyncio.run(endless.finish(TooLarge()))
    assert not endless.is_ended, "but not for ever"
    slow = messages_of(b"a", b"b")
    asyncio.run(slow.finish(TooSlow()))
    assert not slow.is_ended, "nor for one that was too slow already"
