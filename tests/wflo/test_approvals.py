"""A step that waits for a yes, where there is no server: somebody named decides, and nobody means no."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.wflo.calls import KINDS, called, of_kind
from wflo import recording
from wflo.approvals import approval_gate, request_approval, set_approver, wait_for_approval
from wflo.errors import ApprovalRequiredError
from wflo.runs import Run


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    set_approver(None)
    yield
    set_approver(None)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_done_when_it_was_approved_and_only_then(kind: str) -> None:
    done: list[str] = []
    asked: list[dict[str, Any]] = []
    gated = approval_gate(action="send mail", risk="high", question="Send it?")(of_kind(kind, done.append))
    with pytest.raises(ApprovalRequiredError, match="set_approver"):
        called(gated, "ada")
    set_approver(lambda request: (asked.append(request), False)[1] or (False, "not on Fridays"))
    with pytest.raises(ApprovalRequiredError, match="not on Fridays") as refused:
        called(gated, "ada")
    assert (refused.value.status, refused.value.action, done) == ("rejected", "send mail", [])
    set_approver(lambda request: True)
    called(gated, "ada")
    assert done == ["ada"]
    assert (asked[0]["risk"], asked[0]["question"], asked[0]["timeout_s"]) == ("high", "Send it?", 3_600)


def test_what_is_to_be_approved_may_be_said() -> None:
    asked: list[Any] = []
    set_approver(lambda request: asked.append(request["payload"]) or True)

    @approval_gate(payload=lambda to, text: {"to": to, "length": len(text)})
    def send(to: str, text: str) -> str:
        return "sent"

    assert send("ada", text="hello") == "sent"
    assert asked == [{"to": "ada", "length": 5}]


def test_asking_by_hand() -> None:
    set_approver(lambda request: request["action"] == "small thing")
    with recording.running(Run()):
        assert request_approval("small thing")
        with pytest.raises(ApprovalRequiredError):
            request_approval("large thing")
        with pytest.raises(ApprovalRequiredError, match="no server"):
            wait_for_approval("some id")
    with pytest.raises(ValueError, match="not within a run"):
        request_approval("small thing")


@pytest.mark.parametrize("arguments", [{"risk": "huge"}, {"timeout_seconds": 0}, {"on_timeout": "explode"}])
def test_arguments_that_mean_nothing(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(arguments))}"):
        approval_gate(**arguments)
