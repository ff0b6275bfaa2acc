"""Deployments in another maker's wire format, on the scripted provider."""

from __future__ import annotations

from typing import Any

from tests.tracking.gateway.conftest import Gateway
from tracking import pricing, sealed
from tracking.audit import SYSTEM
from tracking.models import Deployment, ModelGroup

FIGURES = {
    "input_usd_per_million": "1",
    "output_usd_per_million": "10",
    "cache_read_usd_per_million": "0.1",
    "cache_write_usd_per_million": "1.25",
    "cache_write_1h_usd_per_million": "2",
}


def foreign(gateway: Gateway, script: str = "echo", provider: str = "anthropic", **fields: Any) -> str:
    """A group of one deployment, with a price; its name."""
    name = f"{provider}-{script}"
    group = ModelGroup.objects.create(team=gateway.team, name=name)
    base = gateway.provider.url if provider == "openai" else gateway.provider.url.removesuffix("/v1")
    fields = {"sealed_key": sealed.seal("sk-foreign"), "api_base": base, **fields}
    Deployment.objects.create(group=group, model=f"{provider}/{script}", **fields)
    if provider != "openai":  # those have prices
        pricing.set_price(SYSTEM, gateway.team, f"{provider}/{script}", FIGURES, valid_from="2020-01-01T00:00:00Z")
    return name
