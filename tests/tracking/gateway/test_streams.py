"""Streams that break, are cut, or lose their reader. The numbers B… are cases of the catalogue of money faults."""

from __future__ import annotations

import json
import socket
import time
from decimal import Decimal as D

import httpx
import openai
import pytest

from tests.tracking.gateway.conftest import OUTPUT_USD, Gateway
from tracking.models import LedgerEntry, Reservation, Run, Span
from wflo_site.processes import wait_until


def events(text: str) -> list[str]:
    return [part[6:] for part in text.split("\n\n") if part.startswith("data: ")]


def left_after(gateway: Gateway, pieces: int, model: str) -> None:
    """A client that hangs up after so many pieces of a stream."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "a"}], "max_tokens": 400}
    raw = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    with socket.create_connection((gateway.server.host, gateway.server.port), timeout=10) as connection:
        connection.sendall(head.encode() + raw)
        got = b""
        while got.count(b"data: ") < pieces:
            got += connection.recv(4096)
        if not pieces:
            time.sleep(0.2)


@pytest.mark.parametrize("pieces", [0, 3])
def test_a_reader_who_leaves_is_billed_for_what_the_provider_said(gateway: Gateway, pieces: int) -> None:
    """B15, B16: never nothing, never for ever held."""
    budget = gateway.budget("1")
    left_after(gateway, pieces, "echo-long-drip")
    gateway.at_rest()
    assert gateway.spent(budget) > pieces * OUTPUT_USD
    billed = gateway.billed()
    assert abs(gateway.spent(budget) - billed) <= billed / 5
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    assert Span.objects.get(team=gateway.team).error == "the client left"


@pytest.mark.parametrize(("model", "is_paid"), [("echo-cut", True), ("echo-nodone", True)])
def test_a_stream_the_provider_breaks_off_ends_in_an_error(gateway: Gateway, model: str, is_paid: bool) -> None:
    """B17: OpenAI's own client would take half an answer for a whole one."""
    budget = gateway.budget("1")
    answer = gateway.chat("a b c d e f", model=model, stream=True)
    got = events(answer.text)
    assert json.loads(got[-1])["error"]["type"] == "upstream_error"
    assert "[DONE]" not in got
    assert (gateway.spent(budget) > 0) is is_paid
    client = openai.OpenAI(base_url=f"{gateway.server.url}/v1", api_key=gateway.key)
    messages = [{"role": "user", "content": "a b c d e f"}]
    with (
        client,
        pytest.raises(openai.APIError),
        client.chat.completions.create(model=model, messages=messages, stream=True) as stream,
    ):
        list(stream)


def test_a_stream_whose_money_ends_is_ended_with_the_reason(gateway: Gateway) -> None:
    """The provider does not keep to its cap: the stream is cut where the money ends."""
    budget = gateway.budget("0.0008")
    answer = gateway.chat("a", model="echo-deaf-drip", stream=True, max_tokens=1000)
    got = events(answer.text)
    assert got[-1] == "[DONE]"
    assert json.loads(got[-2])["error"]["type"] == "budget_exceeded"
    assert json.loads(got[-3])["choices"][0]["finish_reason"] == "budget"
    assert len(got) < 180
    assert gateway.spent(budget) > 0
    assert wait_until(lambda: Run.objects.filter(team=gateway.team).exists(), seconds=10)


def test_an_answer_cut_to_what_the_budget_pays_says_so_at_its_end(gateway: Gateway) -> None:
    budget = gateway.budget("0.0008")
    answer = gateway.chat("a", model="echo-long", stream=True, max_tokens=1000)
    got = events(answer.text)
    assert json.loads(got[-2])["error"]["code"] == "budget_exceeded"
    assert got[-1] == "[DONE]"
    assert gateway.spent(budget) == gateway.billed() <= D("0.0008")


def test_an_answer_within_its_money_has_no_such_end(gateway: Gateway) -> None:
    gateway.budget("1")
    answer = gateway.chat("a", model="echo-long", stream=True, max_tokens=20)
    assert "error" not in answer.text


def test_a_stream_is_counted_like_the_same_answer_whole(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    gateway.chat("a b c d e")
    whole = gateway.spent(budget)
    gateway.chat("a b c d e", stream=True)
    assert gateway.spent(budget) == 2 * whole


def test_chunks_come_as_they_are_made(gateway: Gateway) -> None:
    body = {"model": "echo-drip", "stream": True, "messages": [{"role": "user", "content": " ".join("a" * 20)}]}
    headers = {"authorization": f"Bearer {gateway.key}"}
    began, first = time.monotonic(), 0.0
    with gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        for _ in answer.iter_bytes():
            first = first or time.monotonic()
    assert first - began < (time.monotonic() - began) / 2


def test_a_hold_lives_as_long_as_its_stream(gateway: Gateway) -> None:
    gateway.budget("1")
    body = {"model": "echo-long-drip", "stream": True, "messages": [{"role": "user", "content": "a"}], "max_tokens": 40}
    headers = {"authorization": f"Bearer {gateway.key}"}
    with gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        held = Reservation.objects.get(team=gateway.team)
        assert held.state == Reservation.State.HELD
        assert held.dispatched_at is not None
        list(pieces)
    gateway.at_rest()
    assert LedgerEntry.objects.get(team=gateway.team).usd == gateway.billed()


def test_httpx_sees_an_event_stream(gateway: Gateway) -> None:
    answer: httpx.Response = gateway.chat("a", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
