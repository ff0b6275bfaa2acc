"""Who reaches the doors, through bare sockets and real exporters too. The numbers I… are cases of the catalogue."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pytest_django.plugin import DjangoDbBlocker

from tests.server import free_port, running_server
from tests.tracking.ingest.otlp_bodies import protobuf, span
from tests.tracking.ingest.sender import Sender, a_sender
from tracking.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def sender(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sender]:
    home, app = tmp_path_factory.mktemp("server"), "tests.short_limits:application"
    with (
        django_db_blocker.unblock(),
        running_server(home, app=app, head_ms=2_000) as server,
        a_sender(server, django_db_blocker) as sender,
    ):
        yield sender


def new_trace() -> str:
    return uuid4().hex


def connected(sender: Sender) -> socket.socket:
    return socket.create_connection((sender.server.host, sender.server.port), timeout=20)


def head(sender: Sender, *lines: str) -> bytes:
    first = [
        "POST /v1/traces HTTP/1.1",
        "Host: wflo",
        f"Authorization: Bearer {sender.key}",
        "Content-Type: application/x-protobuf",
    ]
    return "\r\n".join([*first, *lines, "", ""]).encode()


def answer(connection: socket.socket, *, ends: bool = True) -> tuple[int, str]:
    """Status and headers, read until the server closes (``ends``) or the headers are there."""
    text = b""
    while ends or b"\r\n\r\n" not in text:
        piece = connection.recv(65536)
        if not piece:
            break
        text += piece
    found = re.match(rb"HTTP/1\.1 (\d{3})", text)
    return int(found[1]) if found else 0, text.decode("latin-1").lower()


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


# --- lengths that lie -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Content-Length: 500"], b"hello"),
        (["Content-Length: 5", "Content-Length: 2"], b"hello"),
        (["Content-Length: -5"], b"hello"),
        (["Content-Length: five"], b"hello"),
        (["Transfer-Encoding: chunked"], b"zz\r\nhello\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n"),
        (["Transfer-Encoding: gzip"], b"hello"),
    ],
    ids=["too-long", "two", "negative", "word", "bad-chunk", "unfinished", "unknown-transfer"],
)
def test_a_body_whose_length_lies_is_refused(sender: Sender, lines: list[str], body: bytes) -> None:
    """I41"""
    with connected(sender) as connection:
        connection.sendall(head(sender, *lines) + body)
        connection.shutdown(socket.SHUT_WR)
        status, _ = answer(connection)
    assert status == 400


def test_two_ways_to_say_the_length_are_never_two_requests(sender: Sender) -> None:
    """I41: the server reads it as chunked, which RFC 9112 6.3 allows when it then closes; nothing is smuggled."""
    trace = new_trace()
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: wflo\r\n\r\n"
    body = chunked(protobuf([span(trace_id=trace)]), 50)
    with connected(sender) as connection:
        connection.sendall(head(sender, "Content-Length: 4", "Transfer-Encoding: chunked") + body + smuggled)
        status, text = answer(connection)
    assert status in (200, 400)
    assert "connection: close" in text
    assert text.count("http/1.1 ") == 1


def test_a_body_in_chunks_of_one_byte_is_stored(sender: Sender) -> None:
    """I3"""
    trace = new_trace()
    with connected(sender) as connection:
        connection.sendall(head(sender, "Transfer-Encoding: chunked") + chunked(protobuf([span(trace_id=trace)]), 1))
        assert answer(connection, ends=False)[0] == 200
    assert Run.objects.get(team=sender.team, trace_id=UUID(trace)).span_count == 1


# --- slow and many --------------------------------------------------------------------------------------------------


def test_slow_senders_are_cut_and_hold_nobody_up(sender: Sender) -> None:
    """I40"""
    with ExitStack() as open_ones:
        heads = [open_ones.enter_context(connected(sender)) for _ in range(50)]
        bodies = [open_ones.enter_context(connected(sender)) for _ in range(50)]
        for connection in heads:
            connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: wflo\r\nX-Slow")
        for connection in bodies:
            connection.sendall(head(sender, "Content-Length: 1000") + b"\x0a")
        assert sender.post(body=protobuf([span(trace_id=new_trace())])).status_code == 200
        assert {answer(connection)[0] for connection in bodies} == {408}
        assert {answer(connection)[0] for connection in heads} <= {0, 408}, "closed, with or without a word"


def test_a_process_that_holds_enough_says_come_back_soon(sender: Sender) -> None:
    """I36, I37: two bodies of two mebibytes where there is room for three. Whichever comes second must wait."""
    body = protobuf([span(trace_id=new_trace(), attributes={"t": "x" * (2 * 2**20)})])
    with connected(sender) as slow:
        slow.sendall(head(sender, f"Content-Length: {len(body)}") + body[:-1])
        other = sender.post(body=body)
        status, text = answer(slow)
    assert (status, other.status_code) in ((408, 503), (503, 200))
    found = re.search(r"retry-after: (\d+)", f"{text}\nretry-after: {other.headers.get('retry-after')}")
    assert found
    assert 1 <= int(found[1]) <= 5
    assert sender.post(body=body).status_code == 200, "and then there is room again"


def test_without_its_database_the_door_says_come_back_soon(sender: Sender, tmp_path: Path) -> None:
    """I34, I37"""
    with running_server(tmp_path, database=f"postgresql://nobody:x@127.0.0.1:{free_port()}/none") as server:
        headers = {"authorization": f"Bearer {sender.key}", "content-type": "application/json"}
        refused = httpx.post(f"{server.url}/v1/traces", content=b"{}", headers=headers, timeout=30)
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    assert "127.0.0.1" not in refused.text


# --- who may send ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics", "/api/v1/ingest"])
@pytest.mark.parametrize("body", [b"not a body", b"\0" * (3 * 2**20)], ids=["small", "large"])
def test_a_sender_without_a_good_key_is_refused_before_its_body_is_read(sender: Sender, path: str, body: bytes) -> None:
    """I42"""
    answers = [
        sender.post(path, body, authorization=""),
        sender.post(path, body, authorization="Bearer nobody-knows-this"),
        sender.post(path, body, authorization="Bearer"),
        sender.post(path, body, authorization="Basic !!!"),
        sender.post(f"{path}?api_key={sender.key}", body, authorization=""),
        sender.post(path, body, authorization=f"Bearer {sender.reader}"),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401, 403]
    assert all("www-authenticate" in answer.headers for answer in answers[:5])


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_a_key_may_come_in_any_of_the_usual_headers(sender: Sender) -> None:
    body = protobuf([span(trace_id=new_trace())])
    assert sender.post(body=body, authorization="", x_api_key=sender.key).status_code == 200
    assert sender.post(body=body, authorization=f"bearer {sender.key}").status_code == 200
    assert sender.post(body=body, **basic(f"pk-anything:{sender.key}")).status_code == 200
    assert sender.post(body=body, **basic(f"{sender.key}:")).status_code == 200
    assert sender.post(body=body, **basic("pk-lf-1:sk-lf-2")).status_code == 401


# --- a real exporter ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_a_real_exporter_loses_nothing_though_it_is_told_to_wait(sender: Sender, compression: Compression) -> None:
    """I50"""
    exporter = OTLPSpanExporter(
        f"{sender.server.url}/v1/traces",
        headers={"authorization": f"Bearer {sender.key}"},
        compression=compression,
        timeout=30,
    )
    provider = TracerProvider(resource=Resource({"service.name": "a real one"}))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=200, max_queue_size=5000))
    tracer = provider.get_tracer("tests")
    big = protobuf([span(trace_id=new_trace(), attributes={"t": "x" * (3 * 2**20 - 2_000)})])
    with connected(sender) as slow:
        slow.sendall(head(sender, f"Content-Length: {len(big)}") + big[:-1])
        with tracer.start_as_current_span("root") as root:
            for number in range(2_000):
                with tracer.start_as_current_span("step") as step:
                    step.set_attribute("number", number)
        assert provider.force_flush(60_000)
        answer(slow)
    provider.shutdown()
    run = Run.objects.get(team=sender.team, trace_id=UUID(int=root.get_span_context().trace_id))
    assert (run.span_count, run.service) == (2_001, "a real one")
