"""Approval gates: a step that waits until a person has said yes.

    @approval_gate(risk="high", question="Send this e-mail?")
    def send_mail(to, text): ...

With a server the question is on the page *Approvals*, and its destinations are told; without one, whoever ``set_approver``
named decides. Nobody at all means no. A run that is stopped meanwhile waits no longer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from wflo import context, recording
from wflo.bell import bell
from wflo.client import Client, client
from wflo.context import Scope
from wflo.errors import ApprovalRequiredError, ServerError
from wflo.plain import plain
from wflo.runs import Run, decision
from wflo.wrapping import Aside, Call, Invocation, Wait, perform, perform_async, wrap

log = logging.getLogger("wflo")
RISKS = ("low", "medium", "high", "critical")
TIMEOUT_SECONDS, TIMEOUT_MAX_SECONDS = 3_600.0, 7 * 86_400.0
ASK_SECONDS, ASK_MAX_SECONDS = 1.0, 5.0
PAYLOAD_CHARACTERS = 50_000
Approver = Callable[[dict[str, Any]], Any]

_approver: Approver | None = None


def set_approver(approver: Approver | None) -> None:
    """Who decides where there is no server: a function of the request (``action, risk, question, payload, agent, run``) that
    gives True, False, or a comment with either as ``(bool, str)``."""
    global _approver
    _approver = approver


def approval_gate(
    target: Any = None,
    *,
    action: str = "",
    risk: str = "medium",
    question: str = "",
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_timeout: str = "reject",
    payload: Callable[..., Any] | None = None,
) -> Any:
    """Call the function only when it was approved; else ApprovalRequiredError (``status`` rejected, expired, cancelled).

    What is to be approved is its arguments, or what ``payload`` makes of them. ``on_timeout``: reject or approve. Raises
    ValueError for arguments that mean nothing.
    """
    _check(risk, timeout_seconds, on_timeout)

    def habit(invocation: Invocation) -> Generator[Any, Any, Any]:
        with recording.scope_here(invocation.name) as scope:
            name = action or invocation.name.rpartition(".")[2]
            shown = dict(invocation.arguments()) if payload is None else payload(*invocation.args, **invocation.kwargs)
            asked = _Asked(scope, name, risk, question, shown, timeout_seconds, on_timeout)
            yield from asked.decided()
            return (yield Call(scope))

    wrapped = wrap(target, habit) if target is not None else lambda inner: wrap(inner, habit)
    return wrapped


def request_approval(
    action: str,
    *,
    risk: str = "medium",
    question: str = "",
    payload: Any = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_timeout: str = "reject",
) -> str:
    """Ask, and go on: the id to wait for. Within a run. Raises ApprovalRequiredError without a server (see ``set_approver``)
    when nobody approves, ServerError, ValueError."""
    _check(risk, timeout_seconds, on_timeout)
    scope = context.current()
    if scope is None:
        raise ValueError("request_approval: not within a run")
    asked = _Asked(scope, action, risk, question, payload, timeout_seconds, on_timeout)
    asked.open()
    return asked.id


def wait_for_approval(approval_id: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until it is decided. Raises ApprovalRequiredError unless it was approved, ServerError, and RunKilledError when the
    run is stopped meanwhile."""
    perform(_waiting(approval_id, "", timeout_seconds, context.current_run()))


async def await_approval(approval_id: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """The same for code that awaits."""
    await perform_async(_waiting(approval_id, "", timeout_seconds, context.current_run()))


class _Asked:
    """One question, about one call."""

    def __init__(
        self, scope: Scope, action: str, risk: str, question: str, payload: Any, timeout_seconds: float, on_timeout: str
    ) -> None:
        self.scope, self.action, self.timeout_seconds = scope, action, timeout_seconds
        self.id = str(uuid4())
        self.body = {
            "id": self.id, "action": action[:200], "agent": scope.agent, "risk": risk, "question": question or f"May {action} be done?",
            "payload": plain(payload, PAYLOAD_CHARACTERS), "timeout_s": timeout_seconds, "on_timeout": on_timeout,
        }  # fmt: skip

    def decided(self) -> Generator[Any, Any, None]:
        if client() is None:
            self.open()
        else:
            yield Aside(self.open)
            yield from _waiting(self.id, self.action, self.timeout_seconds, self.scope.run)

    def open(self) -> None:
        """Put the question; without a server it is answered at once."""
        server = client()
        if server is not None:
            server.post(f"/api/v1/runs/{quote(self.scope.run.id, safe='')}/approvals", self.body)
            return
        if _approver is None:
            words = (
                f'"{self.action}" needs approval, and nobody is there to give it: set WFLO_ENDPOINT, so that people see it in'
                " Wflo, or name who decides with wflo.approvals.set_approver()."
            )
            raise ApprovalRequiredError(words, approval_id=self.id, action=self.action)
        found = _approver({**self.body, "run": self.scope.run.id})
        is_approved, comment = found if isinstance(found, tuple) else (found, "")
        if not is_approved:
            raise ApprovalRequiredError(
                approval_id=self.id, action=self.action, status="rejected", comment=str(comment)
            )


def _waiting(approval_id: str, action: str, timeout_seconds: float, run: Run | None) -> Generator[Any, Any, None]:
    """Woken by whatever is heard meanwhile: the control block of a message, or a webhook (``wflo.webhooks.receive``). The
    server is asked now and then all the same, for who sends nothing and is sent nothing."""
    server = client()
    if server is None:
        raise ApprovalRequiredError("There is no server to wait for.", approval_id=approval_id, action=action)
    until, ask_at, pause = time.monotonic() + timeout_seconds, time.monotonic(), ASK_SECONDS
    while True:
        since, now = bell.rung, time.monotonic()
        if run is not None:
            run.check_control()
        found = decision(approval_id, run) or {}
        if not found and now >= min(ask_at, until):
            found = yield Aside(partial(_asked, server, approval_id))
            ask_at = time.monotonic() + pause
            pause = min(pause * 1.5, ASK_MAX_SECONDS)
        status = str(found.get("status", "pending"))
        if status == "approved":
            return
        if status != "pending" or now >= until:
            status = "expired" if status == "pending" else status
            raise ApprovalRequiredError(
                approval_id=approval_id,
                action=action or str(found.get("action", "")),
                status=status,
                comment=str(found.get("comment") or ""),
            )
        yield Wait(max(min(ask_at, until) - time.monotonic(), 0.01), since)


def _asked(server: Client, approval_id: str) -> Mapping[str, Any]:
    """What the server says of it when it is asked; nothing new while that is away."""
    try:
        return server.get(f"/api/v1/approvals/{quote(approval_id, safe='')}")
    except ServerError as error:
        if not error.may_pass:
            raise
        log.warning("an approval is still waited for: %s", error)
        return {}


def _check(risk: str, timeout_seconds: float, on_timeout: str) -> None:
    if risk not in RISKS:
        raise ValueError(f"risk: one of {', '.join(RISKS)}, not {risk!r}")
    if not 0 < timeout_seconds <= TIMEOUT_MAX_SECONDS:
        raise ValueError("timeout_seconds: above 0 and at most seven days")
    if on_timeout not in ("reject", "approve"):
        raise ValueError("on_timeout: reject or approve")
