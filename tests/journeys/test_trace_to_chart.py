"""From an agent's own OpenTelemetry to the dollars on every page, without waiting for anything."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.make import PASSWORD, make_key, make_team, make_user
from tests.server import running_server
from tracking import invariants, pricing
from tracking.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

# gpt-4o: 2.50 in and 10 out, gpt-4o-mini: 0.15 and 0.60 USD per million tokens.
CALLS = {"gpt-4o": (12_000, 1_000, Decimal("0.04")), "gpt-4o-mini": (4_000, 1_000, Decimal("0.0012"))}
COST = Decimal("0.0412")
SHOWN = "$0.04120"  # under a dollar, four digits that count


@pytest.fixture
def team(transactional_db: None) -> Team:
    pricing.load_bundled()
    return make_team("Core")


@pytest.fixture
def url(team: Team, tmp_path: Path) -> Iterator[str]:
    with running_server(tmp_path, workers=2) as server:
        yield server.url


@pytest.fixture
def person(url: str, team: Team) -> Iterator[httpx.Client]:
    """Alice's browser, after she signed in."""
    alice = make_user("Alice", team=team, password=PASSWORD)
    with httpx.Client(base_url=url, timeout=30, follow_redirects=True, headers={"referer": url}) as browser:
        form = browser.get("/login").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert token
        told = {"login": alice.email, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
        assert browser.post("/login", data=told).url.path != "/login"
        yield browser


def an_agent_works(url: str, key: str) -> str:
    """Two agents, a call each and a tool, exported by the SDK as it does in any program; the trace's id."""
    exporter = OTLPSpanExporter(
        f"{url}/v1/traces", headers={"authorization": f"Bearer {key}"}, compression=Compression.Gzip
    )
    provider = TracerProvider(resource=Resource({"service.name": "shop", "deployment.environment.name": "prod"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("shop.agents")

    def call(model: str) -> None:
        tokens_in, tokens_out, _ = CALLS[model]
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": tokens_in, "gen_ai.usage.output_tokens": tokens_out,
        }  # fmt: skip
        tracer.start_span(f"chat {model}", attributes=attributes).end()

    def agent(name: str) -> Any:
        return tracer.start_as_current_span(
            f"invoke_agent {name}", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        )

    with agent("planner") as root:
        call("gpt-4o")
        tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "stock.find"}
        tracer.start_span("execute_tool stock.find", attributes=tool).end()
        with agent("writer"):
            call("gpt-4o-mini")
    provider.shutdown()
    return f"{root.get_span_context().trace_id:032x}"


def bars(page: str) -> dict[str, float]:
    """What the chart draws for each agent."""
    figure = json.loads(unescape(page.split('<div hidden id="fig-costs">')[1].split("</div>")[0]))
    return {trace["meta"]: sum(trace["y"]) for trace in figure["data"]}


def test_what_an_agent_cost_is_the_same_to_the_digit_wherever_it_is_shown(
    url: str, team: Team, person: httpx.Client
) -> None:
    _, key = make_key(team)

    trace = an_agent_works(url, key)

    pages = {path: person.get(path).text for path in ("/", "/runs", f"/runs/{trace}", "/costs", "/agents")}
    assert {path: SHOWN in text for path, text in pages.items()} == dict.fromkeys(pages, True)
    assert bars(pages["/costs"]) == {"planner": 0.04, "writer": 0.0012}

    reader = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30)
    now = datetime.now(UTC)
    hours = {"from": (now - timedelta(hours=2)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    with reader:
        by_model = reader.get("/api/v1/usage", params={**hours, "group_by": "model"}).json(parse_float=Decimal)
        run = reader.get(f"/api/v1/runs/{trace}").json(parse_float=Decimal)
    assert by_model["totals"]["cost_usd"] == COST
    assert {row["model"]: row["cost_usd"] for row in by_model["rows"] if row["model"]} == {
        model: usd for model, (_, _, usd) in CALLS.items()
    }
    assert run["cost_usd"] == COST

    rows = list(csv.DictReader(io.StringIO(person.get("/costs.csv?group_by=agent").content.decode("utf-8-sig"))))
    assert {row["agent"]: Decimal(row["cost_usd"]) for row in rows} == {
        "planner": CALLS["gpt-4o"][2],
        "writer": CALLS["gpt-4o-mini"][2],
    }
    assert invariants.check(team.pk) == []
