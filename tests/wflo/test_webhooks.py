"""A signed request is told from a forged, a changed and a kept one (S17)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from wflo import recording, runs
from wflo.errors import RollbackRequestedError, RunKilledError
from wflo.runs import Run
from wflo.webhooks import new_secret, receive, sign, verify

AT = 1_790_000_000
SECRET = new_secret()
BODY = '{"type":"alert.opened","data":{"title":"α"}}'.encode()
HEADERS = sign(SECRET, "msg_1", BODY, at=AT)


def test_the_signature_is_the_standards() -> None:
    """The example of the specification's own reference implementations."""
    headers = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', at=1614265330
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_was_signed_is_taken() -> None:
    assert verify(SECRET, HEADERS, BODY, now=AT) == "msg_1"
    assert verify(SECRET, {name.title(): value for name, value in HEADERS.items()}, BODY, now=AT + 300) == "msg_1"


def test_one_fitting_signature_of_several_is_enough() -> None:
    both = HEADERS | {"webhook-signature": f"v1,{base64.b64encode(bytes(32)).decode()} {HEADERS['webhook-signature']}"}
    assert verify(SECRET, both, BODY, now=AT) == "msg_1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-signature": "v1,"},
        {"webhook-signature": HEADERS["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": "v1,\u00e9"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661\u0662"},
    ],
)
def test_a_changed_header_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="signature|seconds"):
        verify(SECRET, HEADERS | change, BODY, now=AT)


def test_a_changed_body_and_another_secret_are_refused() -> None:
    for secret, body in ((SECRET, BODY + b" "), (new_secret(), BODY)):
        with pytest.raises(ValueError, match="does not fit"):
            verify(secret, HEADERS, body, now=AT)


@pytest.mark.parametrize("late", [301, -301])
def test_a_kept_request_is_refused(late: int) -> None:
    with pytest.raises(ValueError, match="more than 300 seconds"):
        verify(SECRET, HEADERS, BODY, now=AT + late)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        verify(SECRET, {key: value for key, value in HEADERS.items() if key != name}, BODY, now=AT)


def test_a_secret_is_32_random_bytes() -> None:
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"))) == 32
    assert hmac.digest(base64.b64decode(SECRET.removeprefix("whsec_")), b"", hashlib.sha256)
    assert new_secret() != new_secret()


# --- what it makes of them ------------------------------------------------------------------------------------------------


def sent(kind: str, **data: Any) -> dict[str, Any]:
    body = json.dumps(
        {"id": "msg_1", "type": kind, "timestamp": "2026-11-30T10:00:00Z", "team": "Core", "data": data}
    ).encode()
    return receive(sign(SECRET, "msg_1", body, at=time.time()), body, SECRET)


def test_a_run_that_was_stopped_makes_no_more_calls() -> None:
    with recording.running(Run(id="nightly")) as run:
        sent("run.killed", run_id="another", reason="x")
        run.check_control()
        assert sent("run.killed", run_id="nightly", reason="wrong customer")["type"] == "run.killed"
        with pytest.raises(RunKilledError, match="wrong customer"):
            run.check_control()


def test_a_run_that_is_to_go_back_hears_where_to_once() -> None:
    wish = {
        "id": "w1",
        "checkpoint": {"id": "c1", "version": 2, "name": "draft"},
        "reason": "it lies",
        "overrides": {"model": "m"},
        "budget_usd": "0.75",
    }
    with recording.running(Run(id="nightly")) as run:
        run.control = {"status": "running", "approvals": {"a": {"status": "pending"}}}
        sent("run.rollback", run_id="nightly", rollback_id="w1", rollback=wish)
        with pytest.raises(RollbackRequestedError) as wanted:
            run.check_control()
        assert (wanted.value.rollback_id, wanted.value.checkpoint["name"], wanted.value.overrides) == (
            "w1",
            "draft",
            {"model": "m"},
        )
        assert wanted.value.budget_usd == Decimal("0.75")
        assert run.control["approvals"] == {"a": {"status": "pending"}}
        run.taken_rollbacks.add("w1")
        sent("run.rollback", run_id="nightly", rollback_id="w1", rollback=wish)
        run.check_control()
        sent("run.rollback", run_id="nightly", rollback_id="w2", rollback=None)  # too large: the control block tells it
        run.check_control()


def test_an_answer_is_known_in_a_run_and_outside_one() -> None:
    assert runs.decision("a1", None) is None
    sent(
        "approval.decided",
        approval_id="a1",
        run_id="",
        status="approved",
        decided_by="Ada",
        comment="go",
        action="send",
    )
    found = runs.decision("a1", Run())
    assert found is not None
    assert (found["status"], found["comment"]) == ("approved", "go")


def test_events_of_others_are_given_back_and_change_nothing() -> None:
    with recording.running(Run(id="nightly")) as run:
        event = sent("alert.opened", title="x", run_id="nightly")
        assert event["data"]["title"] == "x"
        assert run.control == {}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"type": 1, "data": {}}', b'{"type": "run.killed"}', b"[" * 100_000]
)
def test_what_is_signed_and_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="The body is no"):
        receive(sign(SECRET, "msg_1", body, at=time.time()), body, SECRET)


def test_what_is_not_signed_changes_nothing() -> None:
    body = json.dumps({"type": "run.killed", "data": {"run_id": "nightly"}}).encode()
    with recording.running(Run(id="nightly")) as run:
        with pytest.raises(ValueError, match="does not fit"):
            receive(sign(new_secret(), "msg_1", body, at=time.time()), body, SECRET)
        run.check_control()
