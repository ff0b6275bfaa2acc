"""A name -> deployments in the order to try them.

A name is an alias of another name, a group of the team's or one granted to it, or a model by its own name, which is a
group of one; looked for in this order. What a name resolves to is remembered for ``LIMITS["route_cache_seconds"]``, so
that an ordinary call asks no database for it.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from tracking import sealed
from tracking.errors import ModelNotAllowed, Refused
from tracking.gateway import pool
from tracking.keys import Caller
from tracking.ledger.verbs import Statement
from tracking.sealed import CannotUnseal
from tracking.sql import statements
from wflo.model_names import normalise

log = logging.getLogger(__name__)

DEMO = "demo"
ROUTES_REMEMBERED = 10_000

# Where providers are that speak OpenAI's dialect, and the variable their key is usually in.
_BASES = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks_ai": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
}

# Whose address does not speak OpenAI's dialect, wherever it is: LiteLLM knows their own. All others do.
OWN_FORMATS = frozenset(
    {
        "ai21", "aleph_alpha", "anthropic", "azure", "azure_ai", "bedrock", "bedrock_converse", "cloudflare", "cohere",
        "cohere_chat", "gemini", "huggingface", "jina_ai", "nlp_cloud", "oci", "ollama", "ollama_chat", "predibase",
        "replicate", "sagemaker", "sagemaker_chat", "snowflake", "triton", "vertex_ai", "vertex_ai_beta", "voyage",
        "watsonx", "watsonx_text",
    }
)  # fmt: skip


class ModelUnknown(Refused):
    """There is no model group of that name, and no provider of a model of that name."""

    code = "model_not_found"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One deployment, ready to be called. ``name`` is the model as its provider knows it."""

    id: str  # the deployment's, or the model's own name
    provider: str
    name: str
    api_base: str
    api_key: str = field(default="", repr=False)
    priority: int = 0
    weight: int = 1
    rpm: int | None = None
    tpm: int | None = None
    timeout_seconds: int | None = None
    is_shared: bool = False  # of a group that is the installation's

    @property
    def model(self) -> str:
        return f"{self.provider}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """What a name resolved to: ``meant`` is the name an alias stands for, ``group`` '' for a model called by its own."""

    asked: str
    meant: str
    group: str
    cache_seconds: int
    deployments: tuple[Route, ...]
    fallback_on_auth: bool = False

    def in_order(self) -> list[Route]:
        """By priority; among equals by lot, weighted (Efraimidis and Spirakis, 2006)."""
        drawn = [
            (route.priority, -(random.random() ** (1 / route.weight)), n, route)
            for n, route in enumerate(self.deployments)
        ]
        return [route for _, _, _, route in sorted(drawn)]


_known: dict[tuple[int, str], tuple[float, Routes]] = {}


async def resolve(caller: Caller, model: str) -> Routes:
    """Raises ModelNotAllowed, ModelUnknown, Unavailable."""
    is_allowed = not caller.allowed_models or _is_allowed(caller, model)
    try:
        routes = await _remembered(caller.team_id, model)
    except ModelUnknown:
        if is_allowed:
            raise
        raise _not_allowed(caller, model) from None
    if not is_allowed and not _is_allowed(caller, routes.meant):
        raise _not_allowed(caller, model)
    return routes


async def _remembered(team_id: int, model: str) -> Routes:
    asked = (team_id, model)
    found = _known.get(asked)
    if found is not None and found[0] > time.monotonic():
        return found[1]
    routes = await _looked_up(team_id, model)
    if len(_known) >= ROUTES_REMEMBERED:
        _known.clear()
    _known[asked] = (time.monotonic() + settings.LIMITS["route_cache_seconds"], routes)
    return routes


def forget() -> None:
    """Of this process: groups have changed."""
    _known.clear()


async def names(caller: Caller) -> list[tuple[str, int]]:
    """(name, Unix time it was made) of every group and alias the key may call."""
    sql = Statement(statements("gateway")["names"], {"team": caller.team_id}, list)
    rows: list[Any] = await pool.do(sql)
    found = {name: made for name, made, meant in rows if not caller.allowed_models or _is_allowed(caller, name, meant)}
    return list(found.items())


def has_key_in_environment(provider: str) -> bool:
    return bool(os.environ.get(_variable(provider)))


def _variable(provider: str) -> str:
    """The environment's variable for a provider's key."""
    return _BASES[provider][1] if provider in _BASES else f"{provider.upper()}_API_KEY"


def _is_allowed(caller: Caller, *names: str) -> bool:
    """By one of its names, under another spelling too."""
    if any(name in caller.allowed_models for name in names):
        return True
    allowed = {normalise(name) for name in caller.allowed_models}
    return any(normalise(name) in allowed for name in names)


def _not_allowed(caller: Caller, model: str) -> ModelNotAllowed:
    return ModelNotAllowed(
        f'The key "{caller.name}" may not call "{model}". It may call: {", ".join(sorted(caller.allowed_models))}.',
        field="model",
    )


async def _looked_up(team_id: int, model: str) -> Routes:
    parameters = {"team": team_id, "name": model}
    rows = await pool.do(Statement(statements("gateway")["routes"], parameters, _own_group))
    meant, group, cache_seconds, fallback_on_auth, *_ = rows[0]
    if group is None:
        direct = await _direct(team_id, meant)
        return Routes(asked=model, meant=meant, group="", cache_seconds=0, deployments=(direct,))
    deployments = [row[4:] for row in rows if row[4] is not None]
    if not deployments:
        raise ModelUnknown(f'The model group "{meant}" has no active deployment.', field="model")
    return Routes(
        asked=model,
        meant=meant,
        group=meant,
        cache_seconds=cache_seconds,
        deployments=tuple(await _readable(team_id, deployments)),
        fallback_on_auth=fallback_on_auth,
    )


async def _readable(team_id: int, rows: Sequence[tuple[Any, ...]]) -> list[Route]:
    """Those whose key can be read. Raises CannotUnseal when none can."""
    found: list[Route] = []
    trouble: CannotUnseal | None = None
    for row in rows:
        try:
            found.append(await _deployed(team_id, row))
        except CannotUnseal as error:
            trouble = error
            log.warning("a deployment is passed over: %s", error)
    if trouble is not None and not found:
        raise trouble
    return found


def _own_group(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Of a group of the team's and one of the installation's with the same name, the team's."""
    return [row for row in rows if row[1] == rows[0][1]]


async def _deployed(team_id: int, row: tuple[Any, ...]) -> Route:
    id, model, api_base, sealed_key, priority, weight, rpm, tpm, timeout, is_shared = row
    provider, _, name = model.partition("/")
    base, key = api_base, sealed.unseal(bytes(sealed_key)) if sealed_key else ""
    if not name:
        provider, name = "openai", model
    if not base or not key:
        own_base, own_key = await _credential(team_id, provider)
        # A provider's own key never goes to an address that is not the provider's.
        base, key = base or own_base, key or ("" if base and base != own_base else own_key)
    return Route(
        id=str(id), provider=provider, name=name, api_base=base, api_key=key, priority=priority, weight=weight,
        rpm=rpm, tpm=tpm, timeout_seconds=timeout, is_shared=is_shared,
    )  # fmt: skip


async def _direct(team_id: int, model: str) -> Route:
    full = normalise(model)
    provider, _, name = full.partition("/")
    if not name:
        raise ModelUnknown(
            f'There is no model group "{model}" in this team, and no provider is known by that name.', field="model"
        )
    base, key = await _credential(team_id, provider)
    if provider != DEMO and not key:
        raise ModelUnknown(
            f'There is no model group "{model}" in this team, and no key for "{provider}": an operator adds one under'
            " Gateway.",
            field="model",
        )
    return Route(id=full, provider=provider, name=name, api_base=base, api_key=key)


async def _credential(team_id: int, provider: str) -> tuple[str, str]:
    """(address, key) of a provider: the organization's, the installation's, else from the environment."""
    base = _BASES[provider][0] if provider in _BASES else ""
    parameters = {"team": team_id, "provider": provider}
    rows: Iterable[Any] = await pool.do(Statement(statements("gateway")["credential"], parameters, list))
    for own_base, sealed_key in rows:
        return own_base or base, sealed.unseal(bytes(sealed_key))
    return base, os.environ.get(_variable(provider), "")


__all__ = ["DEMO", "ModelUnknown", "Route", "Routes", "forget", "has_key_in_environment", "names", "resolve"]
