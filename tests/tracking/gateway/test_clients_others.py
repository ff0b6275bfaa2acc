"""LangChain and LiteLLM's library, unchanged but for the base address."""

from __future__ import annotations

import sys
from typing import Any

from tests.tracking.gateway.clients import told
from tests.tracking.gateway.conftest import Gateway
from tracking.models import Refusal
from wflo_site.processes import wait_until

WORDS = "one two three"
LANGCHAIN: dict[str, Any] = {
    "plain": {"text": WORDS, "tokens": 3},
    "stream": {"text": f"{WORDS} ", "tokens": 3},
    "agent": {"called": ["weather", "time"], "said": "noon in x"},
    "structured": {"name": "x", "number": 1},
    "responses": WORDS,
    "embeddings": [[0.25, -0.5, 1.0]] * 2,
}
LITELLM: dict[str, Any] = {
    "plain": {"text": WORDS, "tokens": 3},
    "stream": {"text": WORDS, "tokens": [3]},
    "tool_loop": {"called": ["weather"], "said": "is fine"},
    "anthropic": WORDS,
    "embeddings": [0.25, -0.5, 1.0],
}


def check_langchain(gateway: Gateway, program: str) -> None:
    for script in ("tools", "json"):
        gateway.deploy(f"openai/echo-{script}")
    check(gateway, "langchain_chat.py", LANGCHAIN, program)


def check(gateway: Gateway, script: str, answers: dict[str, Any], program: str) -> None:
    """B36, B48: what it paid is what the provider bills, and a refusal is not asked for again."""
    budget = gateway.budget("1")
    assert told(gateway, script, *answers, program=program) == answers
    assert gateway.spent(budget) == gateway.billed()
    gateway.budget("0.0000001", name="broke")
    broke = told(gateway, script, "broke", program=program)["broke"]
    assert (broke["raised"].removeprefix("OpenAI"), broke["status"]) == ("RateLimitError", 429)
    refused = Refusal.objects.filter(team=gateway.team)
    assert wait_until(refused.exists, seconds=10)
    assert refused.count() == 1


def test_langchain(gateway: Gateway) -> None:
    check_langchain(gateway, sys.executable)


def test_litellms_library(gateway: Gateway) -> None:
    gateway.deploy("openai/echo-tool")
    gateway.deploy("anthropic/echo")
    check(gateway, "litellm_sdk.py", LITELLM, sys.executable)
