"""/v1/runs: the team's runs as AgentWall's clients read and stop them. What counts is what passed through the gateway."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
from django.conf import settings

from tracking import run_control
from tracking.errors import Invalid
from tracking.gateway import api
from tracking.gateway.dialects import CHAT
from tracking.gateway.threads import in_thread
from tracking.ingest import body
from tracking.ingest.answers import MethodNotAllowed, send_bytes
from tracking.ingest.body import JSON, InFlight, Receive, Scope, Send, Stream
from tracking.keys import Caller
from tracking.models import Run, Team
from tracking.run_control import Control

BELOW = "/v1/runs/"
BODY_BYTES_MAX = 16 * 2**10
ACTIONS = ("kill", "complete")

_in_flight = InFlight(64 * BODY_BYTES_MAX)


async def runs(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/runs, one of them below it, and POST to stop or end it."""
    stream = Stream(receive)
    try:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        caller = await api.caller_of(headers)
        name, action = _address(scope)
        if scope["method"] != ("POST" if action else "GET"):
            raise MethodNotAllowed(f"This address takes {'POST' if action else 'GET'} only.")
        if action:
            asked = await _asked(stream, headers)
            answer = await in_thread(lambda: _act(caller, name, action, asked))
        elif name:
            answer = await in_thread(lambda: _shown(run_control.control(_team(caller), name)))
        else:
            answer = await in_thread(lambda: _page(caller, _query(scope)))
    except Exception as error:
        await api.refuse(send, CHAT, error)
        return
    await send_bytes(send, 200, b"application/json", orjson.dumps(answer))


def _address(scope: Scope) -> tuple[str, str]:
    """(run, action): a run's name may hold slashes, and only a POST acts."""
    path: str = scope["path"]
    rest = path[len(BELOW) :].rstrip("/") if path.startswith(BELOW) else ""
    name, _, action = rest.rpartition("/")
    return (name, action) if scope["method"] == "POST" and name and action in ACTIONS else (rest, "")


async def _asked(stream: Stream, headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The body, which may be left out."""
    if headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
        return {}
    with _in_flight.hold() as hold:
        raw = await body.read(stream, body.envelope(headers, accepts=JSON), hold, limit=BODY_BYTES_MAX)
    try:
        asked = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError:
        raise Invalid("The body is no JSON.") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("reason", ""), str):
        raise Invalid('The body is an object with "reason", which is text.', field="reason")
    return asked


def _act(caller: Caller, name: str, action: str, asked: dict[str, Any]) -> dict[str, Any]:
    team, actor = _team(caller), caller.actor()
    if action == "kill":
        done = run_control.kill(team, [name], reason=asked.get("reason", ""), actor=actor)
    else:
        done = run_control.complete(team, [name], actor=actor)
    return _shown(done[0])


def _page(caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    limit, status = query.get("limit", str(settings.LIMITS["page_rows"])), query.get("status", "")
    if not limit.isdigit() or not 0 < int(limit[:6]) <= settings.LIMITS["page_rows_max"]:
        raise Invalid(f"limit is 1 to {settings.LIMITS['page_rows_max']}.", field="limit")
    if status not in ("", Run.Status.RUNNING, Run.Status.COMPLETED, Run.Status.KILLED):
        raise Invalid("status is running, completed or killed.", field="status")
    before, after = _place(query["cursor"]) if query.get("cursor") else (None, "")
    found = run_control.latest(caller.team_id, status=status, limit=int(limit) + 1, before=before, after=after)
    shown = found[: int(limit)]
    cursor = _cursor(shown[-1]) if len(found) > len(shown) else None
    return {"runs": [_shown(one) for one in shown], "next_cursor": cursor}


def _query(scope: Scope) -> dict[str, str]:
    found = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20)
    return {name: values[-1] for name, values in found.items()}


def _cursor(last: Control) -> str:
    assert last.last_at is not None
    return base64.urlsafe_b64encode(f"{last.last_at.isoformat()} {last.run}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, run = base64.urlsafe_b64decode(cursor[:1000]).decode().partition(" ")
        return datetime.fromisoformat(at), run.replace("\0", "")
    except (ValueError, binascii.Error):
        raise Invalid("The cursor is not one of ours.", field="cursor") from None


def _shown(run: Control) -> dict[str, Any]:
    remaining = run.budget_remaining_usd
    return {
        "run_id": run.run,
        "status": run.status,
        "kill_reason": run.kill_reason or None,
        "step_count": run.steps,
        "total_cost": float(run.cost_usd),
        "total_tokens": run.tokens,
        "budget_remaining": None if remaining is None else float(remaining),
        "started_at": None if run.started_at is None else run.started_at.isoformat(),
        "last_activity": None if run.last_at is None else run.last_at.isoformat(),
    }


def _team(caller: Caller) -> Team:
    return Team.objects.get(pk=caller.team_id)
