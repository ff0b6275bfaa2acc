"""How LiteLLM agents are set up: from the environment, and with fallbacks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from wflo import model_names

# LiteLLM's parameter <- variables, by the provider a model's name leads to; the first that is set counts.
_VARIABLES: dict[str, dict[str, tuple[str, ...]]] = {
    "openai": {"api_key": ("OPENAI_API_KEY",), "api_base": ("OPENAI_API_BASE", "OPENAI_BASE_URL")},
    "anthropic": {"api_key": ("ANTHROPIC_API_KEY",), "api_base": ("ANTHROPIC_API_BASE",)},
    "gemini": {"api_key": ("GOOGLE_API_KEY", "GEMINI_API_KEY")},
    "vertex_ai": {
        "vertex_project": ("VERTEX_PROJECT", "VERTEXAI_PROJECT"),
        "vertex_location": ("VERTEX_LOCATION", "VERTEXAI_LOCATION"),
    },
    "azure": {"api_key": ("AZURE_API_KEY",), "api_base": ("AZURE_API_BASE",), "api_version": ("AZURE_API_VERSION",)},
}


class LiteLLMConfig:
    """Keyword arguments for LiteLLMAgent and create_router_agent."""

    @staticmethod
    def from_env(model_name: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """``model_name`` normalised, with what the environment says of its provider."""
        found = os.environ if environment is None else environment
        has_gemini = any(found.get(name) for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"))
        is_vertex_only = bool(found.get("VERTEX_PROJECT") or found.get("VERTEXAI_PROJECT")) and not has_gemini
        name = model_names.normalise(model_name, is_vertex_only=is_vertex_only)
        provider = name.partition("/")[0]
        usual = {"api_key": (f"{provider.upper()}_API_KEY",), "api_base": (f"{provider.upper()}_API_BASE",)}
        config: dict[str, Any] = {"model_name": name}
        for parameter, variables in _VARIABLES.get(provider, usual).items():
            value = next((found[variable] for variable in variables if found.get(variable)), None)
            if value is not None:
                config[parameter] = value
        return config

    @staticmethod
    def with_fallbacks(primary: str, fallbacks: Sequence[str]) -> dict[str, Any]:
        """A router's model list: "primary", then "fallback_0" and so on, and who falls back on whom."""
        names = [f"fallback_{place}" for place in range(len(fallbacks))]
        deployments = [("primary", primary), *zip(names, fallbacks, strict=True)]
        return {
            "model_list": [{"model_name": name, "litellm_params": _parameters(model)} for name, model in deployments],
            "fallbacks": [{"primary": names}] if names else [],
        }


def _parameters(model: str) -> dict[str, Any]:
    found = LiteLLMConfig.from_env(model)
    return {"model": found.pop("model_name"), **found}


def deployments_of(model_config: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A router's model list of items {model, api_key, ...} or LiteLLM's own {model_name, litellm_params}; each falls back on
    those behind it. Raises ValueError naming the item."""
    if not model_config:
        raise ValueError("model_config must have at least one model.")
    listed: list[dict[str, Any]] = []
    for place, one in enumerate(model_config):
        if "litellm_params" in one:
            parameters = dict(one["litellm_params"])
            if not parameters.get("model"):
                raise ValueError(f"model_config.{place}.litellm_params has no model.")
            listed.append(
                {
                    "model_name": str(one.get("model_name") or _name(place)),
                    "litellm_params": {**parameters, "model": model_names.normalise(parameters["model"])},
                }
            )
            continue
        if not one.get("model"):
            raise ValueError(f"model_config.{place} has no model.")
        known = LiteLLMConfig.from_env(str(one["model"]))
        listed.append(
            {
                "model_name": _name(place),
                "litellm_params": {
                    **known,
                    **{key: value for key, value in one.items() if key != "model"},
                    "model": known.pop("model_name"),
                },
            }
        )
    for one in listed:
        one["litellm_params"].pop("model_name", None)
    names = list(dict.fromkeys(one["model_name"] for one in listed))
    return {"model_list": listed, "fallbacks": [{names[0]: names[1:]}] if len(names) > 1 else []}


def _name(place: int) -> str:
    return "primary" if place == 0 else f"fallback_{place - 1}"
