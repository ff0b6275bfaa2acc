"""Two runs to compare, for the browser's site: one, and another that went back to its checkpoint and on with a dearer model."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.browser.alerts_of import in_a_thread
from tests.browser.hostile import PAYLOADS
from tests.browser.site import AGENT, HOUR_NS, Site, new_trace
from tracking.checkpoints import store
from tracking.checkpoints.new import NewCheckpoint
from tracking.models import Checkpoint, Rollback, Run, Team

SECOND_NS = 1_000_000_000
POLICY = {"days": 30, "limits": {"goods_usd": 100, "shipping_usd": 12}, "approval": ["lead"]}
LETTER = (
    "Dear Ms Berg, we are sorry that your parcel never arrived. We refund the goods today. "
    "The money is on your account within three days. If it is not, write to us again."
)


def _chat(model: str, asked: str, answered: str, calls: dict[str, Any] | None = None) -> dict[str, Any]:
    said: list[dict[str, Any]] = [{"type": "text", "content": answered}]
    if calls:
        said.append({"type": "tool_call", "id": "c1", "name": "refunds.make", "arguments": calls})
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": 4_000 + 10 * len(asked),
        "gen_ai.usage.output_tokens": 40 + len(answered),
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": asked}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": said}]),
    }


def _tool(name: str, arguments: Any, result: Any) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.arguments": json.dumps(arguments),
        "gen_ai.tool.call.result": json.dumps(result),
    }


def _spans(trace: str, start_ns: int, parts: list[tuple[str, dict[str, Any]]], output: str) -> list[dict[str, Any]]:
    """A turn of the agent with these steps, two seconds each."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": AGENT, "output.value": output}
    steps = [(f"invoke_agent {AGENT}", agent), *parts]
    return [
        {
            "trace_id": trace,
            "span_id": f"{place + 1:016x}",
            "parent_id": f"{1:016x}" if place else "",
            "name": name,
            "attributes": attributes,
            "started_ns": start_ns + max(place * 2 - 1, 0) * SECOND_NS,
            "ended_ns": start_ns + (place * 2 if place else len(parts) * 2 + 1) * SECOND_NS,
            "resource": {"service.name": "ops"},
        }
        for place, (name, attributes) in enumerate(steps)
    ]


def fill(site: Site) -> dict[str, str]:
    parent, fork = new_trace(), new_trace()
    began = time.time_ns() - HOUR_NS // 3
    before = [
        (
            "chat gpt-4o-mini",
            _chat("gpt-4o-mini", "Refund for order 88214, parcel never arrived", "I look the order up."),
        ),
        ("execute_tool orders.get", _tool("orders.get", {"order": 88214}, {"status": "lost", "goods_usd": 84.9})),
        ("execute_tool policy.read", _tool("policy.read", {"country": "NO"}, POLICY)),
    ]
    after = [
        (
            "chat gpt-4o-mini",
            _chat("gpt-4o-mini", "The order is lost.\nDecide.", "Refund it.", {"order": 88214, "usd": 96.9}),
        ),
        ("execute_tool refunds.make", _tool("refunds.make", {"order": 88214, "usd": 96.9}, {"ok": True, "id": "re_1"})),
        ("chat gpt-4o-mini", _chat("gpt-4o-mini", "Write to the customer.", LETTER)),
    ]
    other = [
        ("chat gpt-4o", _chat("gpt-4o", "The order is lost.\nThe goods alone are refunded.\nDecide.", "Refund the goods.", {"order": 88214, "usd": 84.9, "why": "lost"})),
        ("execute_tool approvals.ask", _tool("approvals.ask", {"usd": 84.9}, {"by": "lead", "approved": True})),
        ("execute_tool refunds.make", _tool("refunds.make", {"order": 88214, "usd": 84.9, "why": "lost"}, {"ok": True, "id": "re_2"})),
        ("chat gpt-4o", _chat("gpt-4o", "Write to the customer.", LETTER.replace("three days", "five working days"))),
    ]  # fmt: skip
    site.send(site.core, _spans(parent, began, [*before, *after], LETTER))
    later = began + HOUR_NS // 6
    site.send(site.core, _spans(fork, later, other, LETTER.replace("three days", "five working days")))
    at = datetime.fromtimestamp((began + int(6.5 * SECOND_NS)) / SECOND_NS, UTC)
    in_a_thread(lambda: _went_back(Team.objects.get(slug=site.core.team), parent, fork, at))
    return {"parent": parent, "fork": fork}


def _went_back(team: Team, run: str, new_run: str, at: datetime, name: str = "policy read") -> None:
    """Both are there when this returns."""
    end = time.monotonic() + 30
    while Run.objects.filter(team=team, trace_id__in=[run, new_run]).count() < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    saved = store.save(NewCheckpoint(team_id=team.pk, run=run, state={"step": name}, redaction="off", name=name))
    Checkpoint.objects.filter(team=team, id=saved.id).update(created_at=at)
    Rollback.objects.create(
        team=team,
        id=uuid4(),
        run=run,
        checkpoint_id=saved.id,
        checkpoint_version=saved.version,
        checkpoint_name=name[:200],
        status=Rollback.Status.TAKEN,
        requested_by="Alice",
        requested_at=at,
        answered_at=at,
        new_run=new_run,
    )
    parent = Run.objects.get(team=team, trace_id=run)
    Run.objects.filter(team=team, trace_id=new_run).update(parent_run_id=parent.id)


def attack(slug: str) -> dict[str, str]:
    """The two latest of the attacked team's runs: the newer goes on from the other after its first step."""
    team = Team.objects.get(slug=slug)
    newer, older = Run.objects.filter(team=team, is_hidden=False).order_by("-started_at", "-id")[:2]
    _went_back(team, older.trace_id.hex, newer.trace_id.hex, older.started_at, PAYLOADS[0])
    return {"parent": older.trace_id.hex, "fork": newer.trace_id.hex}
