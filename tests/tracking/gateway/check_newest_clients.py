"""The newest clients, of Python and Node, installed by ``make test-clients``, which runs this; the usual tests do not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.gateway import test_clients_anthropic, test_clients_openai, test_clients_others
from tests.tracking.gateway.clients import told
from tests.tracking.gateway.conftest import Gateway
from tracking.models import Refusal
from wflo_site.processes import wait_until

HOME = Path(__file__).parent.parent.parent.parent / ".clients"
PYTHON = str(HOME / "python" / "bin" / "python")
WORDS = "one two three"
LOOP = {"called": [["weather", "x"], ["time", "x"]], "said": "time is fine"}
OPENAI: dict[str, Any] = {
    "plain": {"text": WORDS, "tokens": 3, "is_priced": True},
    "stream": {"texts": [f"{WORDS} "], "usages": 0},
    "stream_with_usage": {"texts": [f"{WORDS} "], "usages": 1},
    "tool_loop": {"called": [["weather", "x"]], "said": "weather is fine"},
    "parallel_tools": LOOP,
    "streamed_tools": ["tool_calls", ["weather", "time"]],
    "two_choices": {"whole": [WORDS, WORDS], "streamed": [f"{WORDS} ", f"{WORDS} "]},
    "json": {"loose": {"answer": "a b"}, "strict": {"name": "x", "number": 1}},
    "vision": "what is it",
    "embeddings": {"vectors": [[0.25, -0.5, 1]] * 2, "tokens": 4},
    "models": {"echo": True, "others": False, "one": "echo"},
    "responses": {"text": WORDS, "grew": True, "kept": True},
    "streamed_responses": {"text": WORDS, "final": WORDS, "thought": 3},
}
OPENAI_RAISED = {
    "wrong_key": ("AuthenticationError", 401, "invalid_api_key"),
    "wrong_model": ("NotFoundError", 404, "model_not_found"),
    "wrong_field": ("UnprocessableEntityError", 422, "invalid_request"),
    "broken_stream": ("APIError", None, "upstream_error"),
}
ANTHROPIC: dict[str, Any] = {
    "plain": {"text": WORDS, "tokens": 3, "is_priced": True},
    "stream": {"text": WORDS, "final": WORDS, "tokens": 6, "blocks": ["thinking", "text"]},
    "parallel_tools": {"called": [["weather", "x"], ["time", "x"]], "said": "is fine is fine"},
    "count_tokens": 4,
    "models": "echo",
}
ANTHROPIC_RAISED = {
    "wrong_key": ("AuthenticationError", 401, "invalid_api_key"),
    "wrong_model": ("NotFoundError", 404, "model_not_found"),
    "broken_stream": ("APIError", None, "upstream_error"),
}


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(PYTHON).exists(), "make test-clients installs them"
    monkeypatch.setitem(os.environ, "NODE_PATH", str(HOME / "node_modules"))


def test_openais_for_python(gateway: Gateway) -> None:
    test_clients_openai.check_answers(gateway, PYTHON)


def test_openais_for_python_its_errors(gateway: Gateway) -> None:
    test_clients_openai.check_errors(gateway, PYTHON)
    gateway.provider.clear()


def test_openais_for_python_its_retries(gateway: Gateway) -> None:
    test_clients_openai.check_retries(gateway, PYTHON)


def test_anthropics_for_python(gateway: Gateway) -> None:
    test_clients_anthropic.check_answers(gateway, PYTHON)


def test_anthropics_for_python_its_errors(gateway: Gateway) -> None:
    test_clients_anthropic.check_errors(gateway, PYTHON)


def test_langchain(gateway: Gateway) -> None:
    test_clients_others.check_langchain(gateway, PYTHON)


def test_openais_for_node(gateway: Gateway) -> None:
    test_clients_openai.deployed(gateway)
    check(gateway, "openai_node.cjs", OPENAI, OPENAI_RAISED)
    assert told(gateway, "openai_node.cjs", "abort", program="node")["abort"] == ["the ", "quick ", "brown "]
    check_retries(gateway, "openai_node.cjs", "InternalServerError")


def test_anthropics_for_node(gateway: Gateway) -> None:
    test_clients_anthropic.deployed(gateway)
    check(gateway, "anthropic_node.cjs", ANTHROPIC, ANTHROPIC_RAISED)
    check_retries(gateway, "anthropic_node.cjs", "ServiceUnavailableError")


def check(gateway: Gateway, script: str, answers: dict[str, Any], raised: dict[str, Any]) -> None:
    """B46, B48, B17: what it paid is what the provider bills, and errors are its own."""
    budget = gateway.budget("1")
    assert told(gateway, script, *answers, program="node") == answers
    assert gateway.spent(budget) == gateway.billed()
    seen = told(gateway, script, *raised, program="node")
    assert {name: (one["raised"], one["status"], one["code"]) for name, one in seen.items()} == raised


def check_retries(gateway: Gateway, script: str, error: str) -> None:
    """B36."""
    gateway.provider.clear()
    down = told(gateway, script, "provider_down", program="node")["provider_down"]
    assert (down["raised"], down["status"]) == (error, 503)
    assert 1 <= len(gateway.provider.requests) <= 3
    gateway.budget("0.0000001", name="broke")
    broke = told(gateway, script, "broke", program="node")["broke"]
    assert (broke["raised"], broke["status"], broke["code"]) == ("RateLimitError", 429, "budget_exceeded")
    refused = Refusal.objects.filter(team=gateway.team, code="budget_exceeded")
    assert wait_until(refused.exists, seconds=10)
    assert refused.count() == 1
