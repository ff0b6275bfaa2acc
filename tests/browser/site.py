"""A running Wflo for a browser: four teams with a person each. Core has runs, Fresh has none yet, Hostile is attacked, and Works has
agents that work, and no budget that others' runs use up."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from tests.tracking.ingest.otlp_bodies import as_json

PASSWORD = "a long enough password"
AGENT = "refund-resolver"
HOUR_NS = 3_600_000_000_000
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Account:
    """One person and their team's key."""

    mail: str
    key: str
    team: str


@dataclass(slots=True)
class Site:
    url: str
    core: Account
    fresh: Account
    hostile: Account
    works: Account
    places: dict[str, str] = field(default_factory=dict)

    def send(self, account: Account, spans: Sequence[dict[str, Any]]) -> None:
        """Through the front door, as an agent does."""
        headers = {"Authorization": f"Bearer {account.key}", "Content-Type": "application/json"}
        answer = httpx.post(f"{self.url}/v1/traces", content=as_json(spans), headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        assert "partialSuccess" not in answer.json(), answer.text

    def address(self, path: str) -> str:
        """The whole address of a path of ``pages.PAGES``."""
        return self.url + path.format(**self.places)


def new_trace() -> str:
    return f"{next(_numbers):08x}{time.time_ns():024x}"


def refund_run(
    trace: str,
    *,
    hours_ago: float = 0.1,
    model: str = "gpt-4o",
    failed: bool = False,
    words: str = "Refund for order 88214, parcel never arrived",
) -> list[dict[str, Any]]:
    """An agent that asks a model twice and calls a tool between; 20 s long."""
    start = time.time_ns() - int(hours_ago * HOUR_NS)
    ids = [f"{next(_numbers):016x}" for _ in range(4)]
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": 19_900,
        "gen_ai.usage.output_tokens": 95,
        "gen_ai.input.messages": f'[{{"role":"user","parts":[{{"type":"text","content":"{words}"}}]}}]',
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"I will look it up."}]}]',
    }
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": AGENT, "gen_ai.conversation.id": "s-1"}
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "orders.get",
        "gen_ai.tool.call.arguments": '{"order": 88214}',
        "gen_ai.tool.call.result": '{"status": "pending"}',
    }
    resource = {"service.name": "ops", "deployment.environment.name": "prod", "user.id": "cus_5521"}
    parts: list[tuple[str, dict[str, Any], int, int]] = [
        (f"invoke_agent {AGENT}", agent, 0, 20),
        (f"chat {model}", call, 1, 6),
        ("execute_tool orders.get", tool, 6, 7),
        (f"chat {model}", call, 8, 19),
    ]
    second = 1_000_000_000
    spans = [
        {
            "trace_id": trace,
            "span_id": ids[place],
            "parent_id": ids[0] if place else "",
            "name": name,
            "attributes": attributes,
            "started_ns": start + begins * second,
            "ended_ns": start + ends * second,
            "resource": resource,
        }
        for place, (name, attributes, begins, ends) in enumerate(parts)
    ]
    if failed:
        spans[0]["error"] = spans[3]["error"] = "503 Service Unavailable from the provider"
    return spans


def fill(site: Site) -> None:
    """Some days of Core: priced, unpriced and failed runs."""
    shown = refund_run(new_trace())
    site.send(site.core, shown)
    for day in range(6):
        site.send(site.core, refund_run(new_trace(), hours_ago=24 * day + 1))
        site.send(
            site.core, refund_run(new_trace(), hours_ago=24 * day + 2, model="gpt-4o-mini", words="Where is my parcel")
        )
    site.send(site.core, refund_run(new_trace(), hours_ago=3, model="house-model-7b", words="Price me"))
    site.send(site.core, refund_run(new_trace(), hours_ago=4, failed=True, words="This one fails"))
    site.places |= {"run": shown[0]["trace_id"], "span": shown[1]["span_id"], "agent": quote(AGENT)}
