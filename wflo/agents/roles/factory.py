"""Agents by name: of any model, with a router, by the types of before; and the old class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from wflo.agents.roles.agent import LiteLLMAgent, LiteLLMAgentWithRouter
from wflo.agents.roles.config import LiteLLMConfig
from wflo.agents.roles.context import ExecutionContext


def create_litellm_agent(model_name: str, context: ExecutionContext | None = None, **config: Any) -> LiteLLMAgent:
    """With what the environment says of the model's provider; ``config`` overrules it."""
    found = LiteLLMConfig.from_env(model_name)
    return LiteLLMAgent(found.pop("model_name"), context, **{**found, **config})


def create_router_agent(
    model_config: Sequence[dict[str, Any]], context: ExecutionContext | None = None, **router_config: Any
) -> LiteLLMAgentWithRouter:
    """Of items {model, api_key, ...}; each falls back on those behind it."""
    return LiteLLMAgentWithRouter(model_config, context, **router_config)


class _Named(LiteLLMAgent):
    """A class of before: its model is in its name."""

    model: ClassVar[str] = ""

    def __init__(self, context: ExecutionContext | None = None, **config: Any) -> None:
        found = LiteLLMConfig.from_env(self.model)
        super().__init__(found.pop("model_name"), context, **{**found, **config})


class GPT_3_5_0125_Agent(_Named):
    model = "gpt-3.5-turbo-0125"


class GPT_4_0125_Agent(_Named):
    model = "gpt-4-0125-preview"


class GPT_4_o_2024_05_13_Agent(_Named):
    model = "gpt-4o-2024-05-13"


class ClaudeOpusAgent(_Named):
    model = "claude-3-opus-20240229"


class ClaudeSonnetAgent(_Named):
    model = "claude-3-sonnet-20240229"


class ClaudeHaikuAgent(_Named):
    model = "claude-3-haiku-20240307"


class Gemini10Agent(_Named):
    model = "gemini-1.0-pro"


class Gemini15Agent(_Named):
    model = "gemini-1.5-pro"


class Gemini15FlashAgent(_Named):
    model = "gemini-1.5-flash"


class MistralAgent(_Named):
    model = "mistral/mistral-large-latest"


class CohereCommandRAgent(_Named):
    model = "cohere/command-r"


class CohereCommandRPlusAgent(_Named):
    model = "cohere/command-r-plus"


def _of(model: str) -> Callable[..., LiteLLMAgent]:
    return lambda *args, **config: create_litellm_agent(model, *args, **config)


AGENT_TYPE_TO_FACTORY: dict[str, Callable[..., LiteLLMAgent]] = {
    "GPT_4_0125": _of("gpt-4-0125-preview"),
    "Claude_3_Opus": _of("claude-3-opus-20240229"),
    "Gemini_1_5": _of("gemini-1.5-pro"),
    "GPT_4_Turbo": _of("gpt-4-turbo"),
    "Claude_3_5_Sonnet": _of("claude-3-5-sonnet-20241022"),
    "Llama_3_70B": _of("groq/llama3-70b-8192"),
    "Mistral_Large": _of("mistral/mistral-large-latest"),
    "Multi_Provider": create_router_agent,
}
