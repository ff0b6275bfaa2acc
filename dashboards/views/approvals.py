"""Approvals: what agents wait for, and the buttons that answer them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, may, member_team_for, seat_for
from dashboards.frame import is_fragment
from dashboards.messages import cut, written
from tracking.errors import Conflict, Invalid
from tracking.models import Approval
from tracking.steering import approvals
from tracking.teams import Role

STATES = {"pending": "Waiting", "approved": "Approved", "rejected": "Rejected", "expired": "Expired", "all": "All"}
ROWS = 50
_ANSWERS = {"approve": Approval.Status.APPROVED, "reject": Approval.Status.REJECTED}
_COLOURS = {"critical": "error", "high": "loop", "medium": "", "low": ""}


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the list alone."""
    team = seat_for(request).team
    state = request.GET.get("state", "") or "pending"
    if state not in STATES:
        raise Invalid(f'"{state}" is no state; there are {", ".join(STATES)}.', field="state")
    found = approvals.of_team(team, status="" if state == "all" else state, limit=ROWS)
    context = {
        "team": team,
        "rows": [_row(one) for one in found],
        "state": state,
        "states": STATES,
        "waiting": approvals.pending_count(team),
        "may_act": may(request, Role.MEMBER),
    }
    name = "_approvals_list" if is_fragment(request) else "approvals"
    return render(request, f"dashboards/{name}.html", context)


@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """``id``; ``answer``: approve or reject; ``comment``; ``job``: whose page asked."""
    team, here = member_team_for(request), _here(request.POST.get("job", ""))
    answer = _ANSWERS.get(request.POST.get("answer", ""))
    try:
        if answer is None:
            raise Invalid("The answer is approve or reject.", field="answer")
        id = _uuid(request.POST.get("id", ""))
        row = approvals.decide(team, id, answer, actor=actor(request), comment=request.POST.get("comment", ""))
    except (Invalid, Conflict) as error:
        messages.error(request, error.message)
        return redirect(here)
    word = "approved: the agent goes on" if answer == Approval.Status.APPROVED else "rejected: the agent is told"
    messages.success(request, f'"{row.action}" is {word}.')
    return redirect(here)


def _row(one: Approval) -> dict[str, Any]:
    is_open = one.status == Approval.Status.PENDING
    payload = cut(written(one.payload)) if one.payload is not None else None
    return {"approval": one, "is_open": is_open, "colour": _COLOURS[one.risk], "payload": payload}


def _here(job: str) -> str:
    try:
        return f"/jobs/{UUID(job)}"
    except ValueError:
        return "/approvals"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("That is no approval.", field="id") from None
