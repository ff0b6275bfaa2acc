"""Agents as data and servers of tools for the browser's teams."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from tests.browser.hostile import PAYLOADS
from tests.browser.site import AGENT
from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.audit import SYSTEM
from tracking.models import AgentDefinition, AgentVersion, McpServer, Team

WRITER = {
    "name": AGENT,
    "description": "Decides about refunds.",
    "instructions": "You decide about refunds.\n\n- Look the order up first.\n- Never refund twice.",
    "model": "demo/agent",
    "tools": ["calculator", "remember", "shop__orders_get", "shop__refund"],
    "approvals": {"shop__refund": "high"},
    "limits": {"cost_usd": "0.5"},
    "output_schema": {"type": "object", "properties": {"refund": {"type": "boolean"}}},
}
DEBATE = {
    "name": "advisory board",
    "model": "demo/echo",
    "pattern": "debate",
    "options": {"max_rounds": 2},
    "members": [
        {"name": "optimist", "instructions": "You see what may go well.", "tools": ["clock"]},
        {"name": "sceptic", "instructions": "You see what may go wrong."},
        {"name": "resolver", "agent": AGENT, "role": "judge"},
    ],
}
TOOLS = (("orders.get", "Looks an order up.", True), ("refund", "Gives money back.", False))


def fill(slug: str) -> dict[str, str]:
    team = Team.objects.get(slug=slug)
    _server(team, "shop", TOOLS)
    _server(team, "wiki", (), error="There is no host wiki.example.")
    for body, note in (
        (WRITER, "as it was written down"),
        (WRITER | {"tools": ["shop__refund"], "model": "demo/echo"}, ""),
        (WRITER, "memory again"),
    ):
        store.save(team, Definition.read(team, body), actor=SYSTEM, note=note)
    store.save(team, Definition.read(team, DEBATE), actor=SYSTEM)
    return {"defined": "advisory%20board"}


def attack(slug: str) -> dict[str, str]:
    """The corpus in every string of a definition, past the rules that would refuse some."""
    team = Team.objects.get(slug=slug)
    _server(team, PAYLOADS[0][:60], [(text, text, False) for text in PAYLOADS], error=PAYLOADS[3][:500])
    first = Definition.read(team, {"name": "plain", "model": "demo/agent"}).body
    members = [{**DEBATE_MEMBER, "name": text, "instructions": text, "model": text, "tools": [text], "facts": {"goal": text}}
               for text in PAYLOADS]  # fmt: skip
    body = {
        **first, "description": PAYLOADS[0], "instructions": "\n".join(PAYLOADS), "model": PAYLOADS[1], "tools": list(PAYLOADS),
        "members": members, "pattern": "iterative", "output_schema": {text: text for text in PAYLOADS},
        "parameters": {text: text for text in PAYLOADS}, "approvals": dict.fromkeys(PAYLOADS, "high"),
    }  # fmt: skip
    now = datetime.now(UTC)
    for text in (*(one.replace("/", "") for one in PAYLOADS[:8]), "plain"):
        row = AgentDefinition.objects.create(
            team=team, id=uuid.uuid4(), name=text[:200], version=2, created_at=now, changed_at=now
        )
        for version, kept in ((1, first), (2, body)):
            AgentVersion.objects.create(
                team=team, definition_id=row.id, version=version, body={**kept, "name": row.name}, note=PAYLOADS[3][:500],
                created_by=PAYLOADS[4][:200], created_at=now,
            )  # fmt: skip
    return {"defined": "plain"}


DEBATE_MEMBER: dict[str, Any] = {"role": "", "agent": None}


def _server(team: Team, name: str, tools: Any, *, error: str = "") -> None:
    schema = {"type": "object", "properties": {}}
    told = [
        {"name": own, "description": words, "parameters": schema, "is_read_only": reads} for own, words, reads in tools
    ]
    McpServer.objects.create(
        team=team, id=uuid.uuid4(), name=name, url=f"https://{name[:4]}.example/mcp".replace("<", "x"), tools=told, error=error,
        checked_at=datetime.now(UTC), created_at=datetime.now(UTC),
    )  # fmt: skip
