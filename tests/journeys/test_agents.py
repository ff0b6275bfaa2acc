"""A workflow of the library's agents, traced to a running Wflo: what each agent cost is there, to the last digit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.make import make_key, make_team
from tests.server import running_server
from tracking import pricing
from tracking.models import Team
from wflo.agents import (
    Agent,
    AgentExecutor,
    PipelineWorkflow,
    complete,
    configure_tracing,
    disable_tracing,
    flush_tracing,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def team(transactional_db: None) -> Team:
    pricing.load_bundled()
    return make_team("Core")


@pytest.fixture
def address(team: Team, tmp_path: Path) -> Iterator[str]:
    with running_server(tmp_path) as server:
        yield server.url
    disable_tracing()


def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a thing"


def test_what_each_agent_of_a_workflow_cost_is_there(team: Team, address: str) -> None:
    _, key = make_key(team, scopes=["ingest", "read"])
    assert configure_tracing(address, api_key=key)
    agents = [Agent("researcher", tools=[look_up], model="demo/agent"), Agent("writer", model="demo/json")]
    result = asyncio.run(
        PipelineWorkflow([(agent.name, AgentExecutor(agent)) for agent in agents]).execute("What is an owl?")
    )
    alone = asyncio.run(complete("What is a fox?", model="demo/agent", tools=[look_up], agent="scout"))
    assert flush_tracing()
    with httpx.Client(base_url=address, headers={"authorization": f"Bearer {key}"}) as client:
        told = client.get("/api/v1/usage", params={"group_by": "agent"}).json()
        spans = [
            span
            for run in client.get("/api/v1/runs").json()["runs"]
            for span in client.get(f"/api/v1/runs/{run['id']}/spans").json()["spans"]
        ]
    costs = {row["agent"]: Decimal(str(row["cost_usd"])) for row in told["rows"]}
    assert result.cost_usd is not None
    assert alone.cost_usd is not None
    assert costs["scout"] == alone.cost_usd
    assert costs["researcher"] + costs["writer"] == result.cost_usd
    assert sorted(span["name"] for span in spans if span["kind"] == "tool") == ["tool.look_up", "tool.look_up"]
