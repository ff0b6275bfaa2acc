"""A running gateway before a scripted provider, and a team that calls it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.fake_provider import Provider, a_provider
from tests.make import empty_database, make_key, make_team
from tests.server import Server
from tracking import invariants, pricing, sealed
from tracking.audit import SYSTEM
from tracking.codes import span_hex
from tracking.models import Budget, BudgetPeriod, Deployment, ModelGroup, Reservation, Span, Team
from wflo_site.processes import wait_until

INPUT_USD, OUTPUT_USD = Decimal("0.000001"), Decimal("0.000010")
MODELS = [
    "echo",
    "echo-slow",
    "echo-drip",
    "echo-hang",
    "echo-pause",
    "echo-cut",
    "echo-nodone",
    "echo-nousage",
    "echo-badusage",
    "echo-deaf",
    "echo-long",
    "echo-long-drip",
    "echo-deaf-drip",
    "echo-fail500",
    "echo-fail429",
    "echo-fail400",
    "echo-ctxlen",
    "echo-flaky",
    "echo-tool",
    "free",
]


@dataclass(slots=True)
class Gateway:
    """One team's way in. ``chat`` posts a call; rows may be looked at beside it."""

    server: Server
    provider: Provider
    client: httpx.Client
    team: Team
    key: str

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        named = {"authorization": f"Bearer {self.key}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.client.post(path, json=body, headers={name: value for name, value in named.items() if value})

    def chat(
        self, words: str = "hello there", *, model: str = "echo", headers: Any = None, **fields: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": words}], **fields}
        return self.post("/v1/chat/completions", body, **(headers or {}))

    def budget(self, limit_usd: str | None = "1", **fields: Any) -> Budget:
        fields = {"scope_kind": "team", "window": "total", "name": "all", "team": self.team, **fields}
        return Budget.objects.create(
            organization=self.team.organization, limit_usd=None if limit_usd is None else Decimal(limit_usd), **fields
        )

    def deploy(self, model: str, *, name: str = "", **usd_per_million: str) -> str:
        """A group named after its only model ("anthropic/echo"), served by the scripted provider at its usual price."""
        group = ModelGroup.objects.create(team=self.team, name=name or model)
        Deployment.objects.create(
            group=group, model=model, api_base=self.provider.url, sealed_key=sealed.seal("sk-provider")
        )
        usual = {"input_usd_per_million": INPUT_USD * 10**6, "output_usd_per_million": OUTPUT_USD * 10**6}
        figures = {name: str(value) for name, value in {**usual, **usd_per_million}.items()}
        pricing.set_price(SYSTEM, self.team, model, figures, valid_from="2020-01-01T00:00:00Z")
        return name or model

    def recorded(self, span: Span) -> str:
        """What was kept of a call's answer, as JSON."""
        address = f"/api/v1/spans/{span.trace_id.hex}/{span_hex(span.span_id)}"
        whole = self.client.get(address, headers={"authorization": f"Bearer {self.key}"})
        return json.dumps(whole.json()["output_messages"])

    def at_rest(self) -> None:
        """Waits until every call is settled."""
        assert wait_until(lambda: not Reservation.objects.filter(team=self.team, state=0).exists(), seconds=10)

    def spent(self, budget: Budget) -> Decimal:
        self.at_rest()
        return BudgetPeriod.objects.get(budget=budget).spent_usd

    def billed(self) -> Decimal:
        """What the provider's own bill comes to, when nothing is under way."""
        assert wait_until(lambda: self.provider.busy == 0, seconds=10)
        tokens_in, tokens_out = self.provider.tokens()
        return tokens_in * INPUT_USD + tokens_out * OUTPUT_USD


@pytest.fixture(scope="module")
def _running(served: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[Server, Provider]]:
    with django_db_blocker.unblock(), a_provider() as provider:
        try:
            yield served, provider
        finally:
            empty_database()


@pytest.fixture
def gateway(_running: tuple[Server, Provider], django_db_blocker: DjangoDbBlocker) -> Iterator[Gateway]:
    server, provider = _running
    with django_db_blocker.unblock():
        gateway = make_gateway(server, provider)
        provider.clear()
        with gateway.client:
            yield gateway
        gateway.at_rest()
        assert invariants.check(gateway.team.pk) == []


def make_gateway(server: Server, provider: Provider, name: str = "Callers") -> Gateway:
    team = make_team(f"{name} {time.monotonic_ns()}")
    _, key = make_key(team)
    for model in MODELS:
        make_group(team, model, provider.url)
    set_price(team)
    client = httpx.Client(base_url=server.url, timeout=30)
    return Gateway(server, provider, client, team, key)


def make_group(team: Team, name: str, url: str, *models: str, **fields: Any) -> ModelGroup:
    group = ModelGroup.objects.create(team=team, name=name, **fields)
    for place, model in enumerate(models or (name,)):
        Deployment.objects.create(
            group=group, model=f"openai/{model}", api_base=url, sealed_key=sealed.seal("sk-provider"), priority=place
        )
    return group


def set_price(team: Team) -> None:
    for model in MODELS:
        rate_in, rate_out = (0, 0) if model == "free" else (INPUT_USD * 10**6, OUTPUT_USD * 10**6)
        figures = {"input_usd_per_million": str(rate_in), "output_usd_per_million": str(rate_out)}
        pricing.set_price(SYSTEM, team, f"openai/{model}", figures, valid_from="2020-01-01T00:00:00Z")
