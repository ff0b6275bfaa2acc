"""Anthropic's own Python client, unchanged but for its base address."""

from __future__ import annotations

import sys
from typing import Any

from tests.tracking.gateway.clients import told
from tests.tracking.gateway.conftest import Gateway
from tracking.models import Refusal
from wflo_site.processes import wait_until

SCRIPT = "anthropic_python.py"
MODELS = ("echo", "echo-think", "echo-tool", "echo-tools", "echo-cached", "echo-cut", "echo-fail503")
WORDS = "one two three"
ANSWERS: dict[str, Any] = {
    "plain": {"type": "Message", "text": WORDS, "tokens": 3, "stop": "end_turn", "is_priced": True},
    "stream": {"text": WORDS, "final": WORDS, "tokens": 6, "blocks": ["thinking", "text"]},
    "tool_loop": {"called": [["weather", "x"]], "said": "is fine"},
    "parallel_tools": {"called": [["weather", "x"], ["time", "x"]], "said": "is fine is fine"},
    "streamed_tools": ["tool_use", [["weather", {"city": "x"}], ["time", {"city": "x"}]]],
    "vision": "what is it",
    "count_tokens": 4,
    "models": [True, "echo"],
    "bearer": WORDS,
}
RAISED = {
    "wrong_key": ("AuthenticationError", 401, "invalid_api_key"),
    "wrong_model": ("NotFoundError", 404, "model_not_found"),
    "broken_stream": ("APIStatusError", 200, "upstream_error"),
}


def deployed(gateway: Gateway) -> Gateway:
    for script in MODELS:
        gateway.deploy(f"anthropic/{script}")
    return gateway


def check_answers(gateway: Gateway, program: str) -> None:
    """B46, B48 in this dialect: what it paid is what the provider bills."""
    budget = deployed(gateway).budget("1")
    assert told(gateway, SCRIPT, *ANSWERS, program=program) == ANSWERS
    assert gateway.spent(budget) == gateway.billed()
    assert told(gateway, SCRIPT, "cached", program=program) == {"cached": [True, True]}


def check_errors(gateway: Gateway, program: str) -> None:
    """B17, B36: errors are its own exceptions with our code; a refusal comes once, a provider that is down is tried three times."""
    seen = told(deployed(gateway), SCRIPT, *RAISED, program=program)
    assert {name: (one["raised"], one["status"], one["code"]) for name, one in seen.items()} == RAISED
    gateway.provider.clear()
    down = told(gateway, SCRIPT, "provider_down", program=program)["provider_down"]
    assert (down["raised"], down["status"]) == ("ServiceUnavailableError", 503)
    assert 1 <= len(gateway.provider.requests) <= 3
    gateway.budget("0.0000001")
    refused = Refusal.objects.filter(team=gateway.team, code="budget_exceeded")
    broke = told(gateway, SCRIPT, "broke", program=program)["broke"]
    assert (broke["raised"], broke["status"], broke["code"]) == ("RateLimitError", 429, "budget_exceeded")
    assert wait_until(refused.exists, seconds=10)
    assert refused.count() == 1


def test_everything_it_does_with_a_model(gateway: Gateway) -> None:
    check_answers(gateway, sys.executable)


def test_its_errors_are_its_own(gateway: Gateway) -> None:
    check_errors(gateway, sys.executable)
