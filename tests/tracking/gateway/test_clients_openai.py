"""OpenAI's own Python client, unchanged but for its base address. The numbers B… are cases of the catalogue of faults."""

from __future__ import annotations

import sys
from typing import Any

from tests.make import make_team
from tests.tracking.gateway.clients import told
from tests.tracking.gateway.conftest import Gateway, make_group
from tracking.models import Refusal
from wflo_site.processes import wait_until

SCRIPT = "openai_python.py"
MODELS = ("tool", "tools", "json", "think", "fail503")
WORDS = "one two three"
ANSWERS: dict[str, Any] = {
    "plain": {"type": "ChatCompletion", "text": WORDS, "tokens": 3, "is_priced": True, "agentwall": ["agentwall"]},
    "stream": {"text": f"{WORDS} ", "usages": 0},
    "stream_with_usage": {"usages": [3], "last has no choice": True},
    "tool_loop": {"called": [["weather", "x"]], "said": "weather is fine"},
    "parallel_tools": {"called": [["weather", "x"], ["time", "x"]], "said": "time is fine"},
    "streamed_tools": ["tool_calls", ["weather", "time"]],
    "two_choices": {"whole": [WORDS, WORDS], "streamed": [f"{WORDS} ", f"{WORDS} "]},
    "json": {"loose": {"answer": "a b"}, "strict": {"name": "x", "number": 1}},
    "vision": "what is it",
    "embeddings": {"vectors": [[0.25, -0.5, 1.0]] * 2, "tokens": 4},
    "completions": "one two",
    "models": {"echo": True, "others": False, "one": "echo"},
    "responses": {"text": WORDS, "grew": True, "kept": WORDS, "strict": {"name": "x", "number": 1}},
    "streamed_responses": {"text": WORDS, "final": WORDS, "thought": 3},
    "responses_tool_loop": {"called": ["weather", "time"], "said": "time is fine"},
    "many_at_once": [f"number {n}" for n in range(10)],
}
RAISED = {
    "wrong_key": ("AuthenticationError", 401, "invalid_api_key"),
    "wrong_model": ("NotFoundError", 404, "model_not_found"),
    "wrong_field": ("UnprocessableEntityError", 422, "invalid_request"),
    "broken_stream": ("APIError", None, "upstream_error"),
    "broken_response": ("APIError", None, "upstream_error"),
}


def deployed(gateway: Gateway) -> Gateway:
    for script in MODELS:
        gateway.deploy(f"openai/echo-{script}")
    make_group(make_team("Others"), "secret-group", gateway.provider.url, "echo")
    return gateway


def check_answers(gateway: Gateway, program: str) -> None:
    """B46, B48: everything it does with a model, and what it paid is what the provider bills."""
    budget = deployed(gateway).budget("1")
    assert told(gateway, SCRIPT, *ANSWERS, program=program) == ANSWERS
    assert gateway.spent(budget) == gateway.billed()


def check_errors(gateway: Gateway, program: str) -> None:
    """B17, B48: errors are its own exceptions, with our code."""
    seen = told(deployed(gateway), SCRIPT, *RAISED, program=program)
    assert {name: (one["raised"], one["status"], one["code"]) for name, one in seen.items()} == RAISED


def check_retries(gateway: Gateway, program: str) -> None:
    """B36: a refusal comes once and is not asked for again; a provider that is down is asked three times, no more."""
    down = told(deployed(gateway), SCRIPT, "provider_down", program=program)["provider_down"]
    assert (down["raised"], down["status"]) == ("InternalServerError", 503)
    asked = [request["head"].lower() for request in gateway.provider.requests]
    assert 1 <= len(asked) <= 3
    budget = gateway.budget("0.0000001")
    broke = told(gateway, SCRIPT, "broke", program=program)["broke"]
    assert (broke["raised"], broke["status"], broke["code"]) == ("RateLimitError", 429, "budget_exceeded")
    assert wait_until(lambda: Refusal.objects.filter(team=gateway.team).exists(), seconds=10)
    assert Refusal.objects.filter(team=gateway.team).count() == 1
    assert len(gateway.provider.requests) == len(asked)
    assert gateway.spent(budget) == 0


def test_everything_it_does_with_a_model(gateway: Gateway) -> None:
    check_answers(gateway, sys.executable)


def test_its_errors_are_its_own(gateway: Gateway) -> None:
    check_errors(gateway, sys.executable)


def test_it_is_refused_once_and_tries_a_provider_that_is_down_three_times(gateway: Gateway) -> None:
    """B36."""
    check_retries(gateway, sys.executable)


def test_it_gives_up_and_tries_again_while_the_first_call_still_runs(gateway: Gateway) -> None:
    """B37: two calls reached the provider, and both are paid."""
    budget = gateway.budget("1")
    assert told(gateway, SCRIPT, "impatient")["impatient"]["raised"] == "APITimeoutError"
    assert wait_until(lambda: len(gateway.provider.bill) == 2, seconds=20)
    assert gateway.spent(budget) == gateway.billed()


def test_it_leaves_a_stream(gateway: Gateway) -> None:
    """B15: what was said until then is paid, and no more is held."""
    budget = gateway.budget("1")
    assert told(gateway, SCRIPT, "abort")["abort"] == ["the ", "quick ", "brown "]
    assert 0 < gateway.spent(budget) < gateway.billed() * 2
