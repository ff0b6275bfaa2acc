"""What the sender does with each answer, and what it counts. The numbers K… are cases of the catalogue of faults."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context

from tests.wflo.exporter.receiver import Receiver, a_closed_port, a_receiver, ok, status
from wflo import config
from wflo.exporter.sender import Sender


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.fixture
def sender(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    settle(monkeypatch, receiver.url)
    sender = Sender()
    yield sender
    sender.shutdown(1)
    if sender._transport is not None:
        sender._transport.close()


def settle(monkeypatch: pytest.MonkeyPatch, endpoint: str, **more: Any) -> None:
    settings = {"endpoint": endpoint, "api_key": "the key", "send_seconds": 0.02, "heartbeat_seconds": 0.1, **more}
    monkeypatch.setattr(config, "_present", config.Config(**settings))


def event(number: int, **more: Any) -> bytes:
    return json.dumps({"n": number, **more}).encode()


def numbers(receiver: Receiver) -> list[int]:
    return [one["n"] for one in receiver.events]


def test_events_arrive_in_order_with_the_key(sender: Sender, receiver: Receiver) -> None:
    for number in range(1_200):
        sender.put(event(number))
    assert sender.flush(10)
    assert numbers(receiver) == list(range(1_200))
    assert {(body["path"], body["key"]) for body in receiver.bodies} == {("/api/v1/ingest", "Bearer the key")}
    assert max(len(body["events"]) for body in receiver.bodies) <= 500


def test_what_is_too_much_for_the_server_goes_in_halves(sender: Sender, receiver: Receiver) -> None:
    """K22"""
    receiver.answer = lambda body: ok(body) if len(body["events"]) <= 3 else (413, {}, b"{}")
    for number in range(40):
        sender.put(event(number))
    assert sender.flush(10)
    assert numbers(receiver) == list(range(40))
    receiver.answer = status(413)
    sender.put(event(40))
    assert sender.flush(10)
    assert sender.queue.dropped() == {"too_large": 1}


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(sender: Sender, receiver: Receiver, code: int) -> None:
    """K6"""
    refusals = iter([code])
    receiver.answer = lambda body: ok(body) if next(refusals, None) is None else (code, {"retry-after": "0"}, b"{}")
    sender.put(event(1))
    assert sender.flush(10)
    assert numbers(receiver) == [1]
    assert sender.queue.dropped() == {}


def test_retry_after_is_waited_for(sender: Sender, receiver: Receiver) -> None:
    """K6"""
    refused_at: list[float] = []

    def answer(body: dict[str, Any]) -> Any:
        if refused_at:
            return ok(body)
        refused_at.append(time.monotonic())
        return 503, {"retry-after": "0.7"}, b"{}"

    receiver.answer = answer
    sender.put(event(1))
    assert sender.flush(10)
    assert time.monotonic() - refused_at[0] >= 0.7


def test_a_server_that_fails_for_ever_is_given_up_after_some_tries(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K5"""
    monkeypatch.setattr("wflo.exporter.sender.BACKOFF_SECONDS", 0.15)
    tries: list[int] = []
    receiver.answer = lambda body: (tries.append(1), (500, {}, b"oops"))[1]
    sender.put(event(1))
    assert sender.flush(15)
    assert (len(tries), sender.queue.dropped()) == (4, {"server_error": 1})


@pytest.mark.parametrize("code", [301, 302, 307, 401, 403])
def test_a_wrong_key_or_address_is_not_tried_again(
    sender: Sender, receiver: Receiver, code: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K7, K8"""
    tries: list[int] = []
    receiver.answer = lambda body: (tries.append(1), (code, {"location": receiver.url + "/elsewhere"}, b""))[1]
    for number in range(3):
        sender.put(event(number))
        assert sender.flush(5)
    assert (len(tries), sender.queue.dropped()) == (1, {"unauthorized": 3})
    assert [record.levelname for record in caplog.records if record.name == "wflo"] == ["WARNING"]
    receiver.answer = ok
    settle(monkeypatch, receiver.url, api_key="another")
    sender.reconfigured()
    sender.put(event(9))
    assert sender.flush(5)
    assert numbers(receiver) == [9]


@pytest.mark.parametrize("code", [400, 404, 422])
def test_what_the_server_will_never_take_is_counted(sender: Sender, receiver: Receiver, code: int) -> None:
    receiver.answer = status(code)
    sender.put(event(1))
    assert sender.flush(5)
    assert sender.queue.dropped() == {"refused": 1}


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe not json", b"[1, 2]", b'{"rejected": 5, "control": "x"}', b"9" * 3_000_000]
)
def test_garbage_in_an_answer_does_no_harm(sender: Sender, receiver: Receiver, content: bytes) -> None:
    """K9"""
    receiver.answer = lambda body: (200, {}, content)
    for number in range(2):
        sender.put(event(number))
        assert sender.flush(5)
    assert numbers(receiver) == [0, 1]


def test_a_full_queue_never_blocks_and_every_event_is_accounted_for(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K12"""
    settle(monkeypatch, receiver.url, queue_items=100, batch_items=50)
    is_open = threading.Event()
    receiver.answer = lambda body: (is_open.wait(10), ok(body))[1]
    for number in range(2_000):
        sender.put(event(number))
    is_open.set()
    assert sender.flush(10)
    sender.put(event(-1))
    assert sender.flush(10)
    dropped = sender.queue.dropped()
    assert set(dropped) == {"queue_full"}
    assert len(receiver.events) + dropped["queue_full"] == 2_001
    assert sum(body.get("dropped", {}).get("queue_full", 0) for body in receiver.bodies) == dropped["queue_full"]
    assert sender.queue.untold() == {}


def test_a_queue_is_bounded_by_its_bytes_too(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K12"""
    settle(monkeypatch, receiver.url, queue_bytes=100_000)
    is_open = threading.Event()
    receiver.answer = lambda body: (is_open.wait(10), ok(body))[1]
    for number in range(200):
        sender.put(event(number, text="x" * 5_000))
        assert sender.queue._bytes <= 100_000
    is_open.set()
    assert sender.flush(10)
    assert len(receiver.events) + sender.queue.dropped()["queue_full"] == 200


def test_what_was_rejected_alone_is_counted(sender: Sender, receiver: Receiver) -> None:
    receiver.answer = lambda body: ok(body, rejected=[{"index": 0, "code": "missing", "message": "ts: is missing"}])
    sender.put(event(1))
    assert sender.flush(5)
    assert sender.queue.dropped() == {"rejected": 1}


def test_a_server_that_hangs_up_is_asked_again(sender: Sender, receiver: Receiver) -> None:
    hung_up: list[int] = []
    receiver.answer = lambda body: ok(body) if hung_up else hung_up.append(1)  # type: ignore[func-returns-value]
    sender.put(event(1))
    assert sender.flush(10)
    assert numbers(receiver) == [1, 1]  # the first was read, and nobody said so


def test_a_server_that_is_not_there_yet(sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """K1"""
    settle(monkeypatch, a_closed_port())
    sender.put(event(1))
    assert not sender.flush(0.3)
    settle(monkeypatch, receiver.url)
    sender.reconfigured()
    sender.put(event(2))
    assert sender.flush(10)
    assert set(numbers(receiver)) >= {2}


def test_open_runs_are_told_and_hear_what_is_wanted_of_them(sender: Sender, receiver: Receiver) -> None:
    heard: list[dict[str, Any]] = []
    sender.on_control.append(heard.append)
    open_now = ["run-1"]
    begun = [event(7)]
    sender.open_runs = lambda: list(open_now)
    sender.open_events = lambda: [begun.pop()] if begun else []
    receiver.answer = lambda body: ok(body, control={"runs": {"run-1": {"status": "killed"}}})
    sender.put(event(1))
    receiver.wait(lambda: len(receiver.bodies) >= 4)  # heartbeats follow
    assert receiver.bodies[0]["open_runs"] == ["run-1"]
    assert sorted(numbers(receiver)) == [1, 7]
    assert heard[0] == {"runs": {"run-1": {"status": "killed"}}}
    open_now.clear()
    assert sender.flush(5)


def test_otlp_goes_to_the_collectors_address(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch, receiver.url, protocol="otlp", service="my agents")
    seen: list[dict[str, Any]] = []
    receiver.answer = lambda body: (seen.append(body), (200, {}, b"{}"), body.setdefault("events", []))[1]
    told = {
        "kind": "span.end",
        "event_id": "e",
        "run_id": "r",
        "ts": 1.0,
        "span_id": "a" * 16,
        "span_kind": "llm",
        "name": "chat",
    }
    sender.put(json.dumps(told).encode())
    assert sender.flush(5)
    (body,) = seen
    assert body["path"] == "/v1/traces"
    (resource,) = body["resourceSpans"]
    assert resource["scopeSpans"][0]["spans"][0]["name"] == "chat"
    assert {"key": "service.name", "value": {"stringValue": "my agents"}} in resource["resource"]["attributes"]


def test_nothing_is_sent_where_nothing_is_to_be_sent(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch, receiver.url, is_enabled=False)
    sender.put(event(1))
    assert sender.flush(5)
    assert receiver.bodies == []


def test_its_own_requests_are_no_spans_of_the_host(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K23"""
    seen: list[Any] = []
    request = http.client.HTTPConnection.request

    def looked_at(*args: Any, **kwargs: Any) -> Any:
        seen.append(context.get_value("suppress_instrumentation"))
        return request(*args, **kwargs)

    monkeypatch.setattr(http.client.HTTPConnection, "request", looked_at)
    sender.put(event(1))
    assert sender.flush(5)
    assert seen == [True]


@pytest.mark.parametrize("place", ["on_control", "open_runs", "open_events"])
def test_a_fault_of_who_is_asked_or_told_costs_no_event(
    sender: Sender, receiver: Receiver, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """K10"""

    def broken(*_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    setattr(sender, place, [broken] if place == "on_control" else broken)
    receiver.answer = lambda body: ok(body, control={"runs": {"run-1": {}}})
    for number in range(3):
        sender.put(event(number))
        assert sender.flush(5)
    assert numbers(receiver) == [0, 1, 2]
    assert sender.queue.dropped() == {}
    assert len([record for record in caplog.records if record.name == "wflo"]) == 1


def test_a_heartbeat_that_is_not_heard_holds_no_event_up(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch, receiver.url, timeout_seconds=0.2)
    sender.open_runs = lambda: ["run-1"]
    heartbeats: list[int] = []
    receiver.answer = lambda body: (
        ok(body) if body["events"] else (heartbeats.append(1), (503, {"retry-after": "60"}, b""))[1]
    )
    sender.put(event(0))
    receiver.wait(lambda: bool(heartbeats))
    sender.put(event(1))
    assert sender.flush(5)
    assert numbers(receiver) == [0, 1]
    assert sender.queue.dropped() == {}


def test_another_configuration_is_not_waited_for(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K6, K21: after an hour that an earlier server asked for, or the minute that it gets."""
    refused: list[int] = []
    receiver.answer = lambda body: (
        ok(body) if body["key"] == "Bearer another" else (refused.append(1), (503, {"retry-after": "3600"}, b""))[1]
    )
    sender.put(event(1))
    receiver.wait(lambda: bool(refused))
    settle(monkeypatch, receiver.url, api_key="another")
    sender.reconfigured()
    assert sender.flush(10)
    assert (numbers(receiver), len(refused)) == ([1], 1)


@pytest.mark.parametrize("code", [400, 422])
def test_half_of_a_batch_that_is_refused_may_be_saved(sender: Sender, receiver: Receiver, code: int) -> None:
    receiver.answer = lambda body: (code, {}, b"{}") if any(one["n"] == 3 for one in body["events"]) else ok(body)
    sender.queue.put(event(0), items_max=100, bytes_max=10**6)
    for number in range(1, 10):
        sender.queue.put(event(number), items_max=100, bytes_max=10**6)
    sender.put(event(10))
    assert sender.flush(5)
    assert numbers(receiver) == [5, 6, 7, 8, 9, 10]
    assert sender.queue.dropped() == {"refused": 5}


def test_any_success_is_one(sender: Sender, receiver: Receiver) -> None:
    receiver.answer = lambda body: (receiver.bodies.append(body), (202, {}, b""))[1]
    sender.put(event(1))
    assert sender.flush(5)
    assert (numbers(receiver), sender.queue.dropped()) == ([1], {})


def test_with_a_spool_a_busy_server_has_its_rest_and_the_disk_the_events(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """K6, K15"""
    settle(monkeypatch, receiver.url, spool_folder=str(tmp_path))
    asked: list[int] = []
    receiver.answer = lambda body: (asked.append(1), (503, {"retry-after": "3600"}, b""))[1]
    for number in range(5):
        sender.put(event(number))
        assert sender.flush(5)
    assert (len(asked), len(list(tmp_path.glob("*.batch")))) == (1, 5)
    receiver.answer = ok
    settle(monkeypatch, receiver.url, spool_folder=str(tmp_path), api_key="another")
    sender.reconfigured()
    receiver.wait(lambda: len(receiver.bodies) >= 5)
    assert numbers(receiver) == list(range(5))
    assert sender.queue.dropped() == {}


def test_a_batch_on_disk_that_the_server_always_fails_on_holds_no_other_up(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """K5, K20"""
    monkeypatch.setattr("wflo.exporter.sender.BACKOFF_SECONDS", 0.15)
    settle(monkeypatch, receiver.url, spool_folder=str(tmp_path))
    receiver.answer = lambda body: (500, {}, b"") if body["events"] == [{"n": 0}] else ok(body)
    for number in range(3):
        sender.put(event(number))
        assert sender.flush(10)
    receiver.wait(lambda: not list(tmp_path.glob("*.batch")))
    assert numbers(receiver) == [1, 2]
    assert sender.queue.dropped() == {"server_error": 1}


def test_what_goes_to_the_server_says_what_was_lost_of_what_is_on_disk(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """K12, K20"""
    settle(monkeypatch, receiver.url, spool_folder=str(tmp_path), spool_bytes=3_000)
    receiver.answer = status(503)
    for number in range(12):
        sender.put(event(number, text=secrets.token_hex(500)))
        assert sender.flush(5)
    lost = sender.queue.dropped()["spool_full"]
    receiver.answer = ok
    sender.reconfigured()
    receiver.wait(lambda: len(receiver.events) == 12 - lost)
    assert numbers(receiver) == list(range(lost, 12))
    assert sum(body.get("dropped", {}).get("spool_full", 0) for body in receiver.bodies) == lost
