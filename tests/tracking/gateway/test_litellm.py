"""Deployments that do not speak the caller's dialect: through LiteLLM, one request each, with its usage and its faults.

The provider's own wire formats are Anthropic's and Gemini's here.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway
from tests.tracking.gateway.foreign import foreign
from tests.tracking.gateway.peer import a_peer
from tracking.models import Deployment, LedgerEntry, ModelGroup, Span
from wflo_site.processes import wait_until

TOOL = {
    "type": "function",
    "function": {"name": "search", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
}


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    """Set before the server starts, which is at this scope too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "sk-environment")
        yield


@pytest.fixture(autouse=True)
def _patience(gateway: Gateway) -> None:
    gateway.client.timeout = 60  # the first call imports LiteLLM


def chunks(answer: Any) -> Iterator[dict[str, Any]]:
    lines = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    return (json.loads(line) for line in lines if line != "[DONE]")


def streamed(answer: Any) -> str:
    return "".join(c["delta"].get("content") or "" for chunk in chunks(answer) for c in chunk.get("choices", ()))


def head(gateway: Gateway) -> str:
    found: str = gateway.provider.requests[-1]["head"].lower()
    return found


@pytest.mark.parametrize(("provider", "address"), [("anthropic", "/v1/messages"), ("gemini", ":generatecontent")])
def test_an_openai_client_is_answered_by_another_makers_model(gateway: Gateway, provider: str, address: str) -> None:
    budget = gateway.budget("1")
    answer = gateway.chat("one two three", model=foreign(gateway, provider=provider), max_tokens=50)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["choices"][0]["message"]["content"] == "one two three"
    assert (said["object"], said["choices"][0]["finish_reason"]) == ("chat.completion", "stop")
    assert said["agentwall"]["provider"] == provider
    assert gateway.spent(budget) == gateway.billed() == 4 * INPUT_USD + 3 * OUTPUT_USD
    assert address in head(gateway)
    assert "sk-foreign" in head(gateway)
    assert len(gateway.provider.requests) == 1


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_stream_of_another_maker_comes_as_openais(gateway: Gateway, provider: str) -> None:
    budget = gateway.budget("1")
    model = foreign(gateway, provider=provider)
    answer = gateway.chat("one two three", model=model, stream=True)
    assert streamed(answer).split() == ["one", "two", "three"]
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert '"usage"' not in answer.text
    assert gateway.spent(budget) == gateway.billed()
    told = [chunk for chunk in chunks(gateway.chat("a b", model=model, stream=True,
            stream_options={"include_usage": True})) if chunk.get("usage")]  # fmt: skip
    assert [chunk["choices"] for chunk in told] == [[]]
    assert told[0]["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_tools_are_called_and_their_results_understood(gateway: Gateway, provider: str, is_stream: bool) -> None:
    model = foreign(gateway, "echo-tool", provider)
    question = {"role": "user", "content": "find it"}
    answer = gateway.chat("find it", model=model, tools=[TOOL], stream=is_stream)
    if is_stream:
        deltas = [c["delta"] for chunk in chunks(answer) for c in chunk["choices"]]
        parts = [part for delta in deltas for part in delta.get("tool_calls") or ()]
        name = "".join(part["function"].get("name") or "" for part in parts)
        arguments = "".join(part["function"].get("arguments") or "" for part in parts)
        call = {"id": parts[0]["id"], "type": "function", "function": {"name": name, "arguments": arguments}}
    else:
        call = answer.json()["choices"][0]["message"]["tool_calls"][0]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("search", {"q": "x"})
    history = [question, {"role": "assistant", "content": None, "tool_calls": [call]},
               {"role": "tool", "tool_call_id": call["id"], "content": "found"}]  # fmt: skip
    last = gateway.post("/v1/chat/completions", {"model": model, "messages": history, "tools": [TOOL]})
    assert last.status_code == 200, last.text
    assert last.json()["choices"][0]["finish_reason"] == "stop"


def test_what_came_from_a_cache_or_went_into_it_has_its_own_price(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    words = " ".join(["word"] * 64)
    gateway.chat(words, model=foreign(gateway, "echo-cached"))
    tokens_in, tokens_out = gateway.provider.tokens()
    cached, written = tokens_in // 2, tokens_in // 8
    plain = tokens_in - cached - written
    expected = plain * INPUT_USD + cached * INPUT_USD / 10 + tokens_out * OUTPUT_USD
    assert gateway.spent(budget) == expected + written * INPUT_USD * 2


def test_max_tokens_is_lowered_for_other_makers_too(gateway: Gateway) -> None:
    budget = gateway.budget("0.001")
    answer = gateway.chat("hello", model=foreign(gateway, "echo-long"), max_tokens=5000)
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert 50 < gateway.provider.requests[-1]["body"]["max_tokens"] < 100
    assert gateway.spent(budget) == gateway.billed() <= Decimal("0.001")


@pytest.mark.parametrize(
    ("script", "status", "upstream"),
    [("echo-fail429", 429, 429), ("echo-fail500", 500, 500), ("echo-fail401", 401, 401), ("echo-fail400", 400, 400),
     ("echo-fail529", 529, 529), ("echo-fail418", 418, 418)],
)  # fmt: skip
def test_a_refusal_has_the_providers_status_and_words_and_costs_nothing(
    gateway: Gateway, script: str, status: int, upstream: int
) -> None:
    """B47."""
    budget = gateway.budget("1")
    answer = gateway.chat("hello", model=foreign(gateway, script))
    error = answer.json()["error"]
    assert (answer.status_code, error["upstream_status"], error["code"]) == (status, upstream, "anthropic_error")
    assert error["message"] == f"failed with {upstream}"
    assert answer.headers.get("retry-after") == ("1" if status == 429 else None)
    assert gateway.spent(budget) == 0
    assert len(gateway.provider.requests) == 1  # one attempt is one request


def test_a_prompt_too_long_goes_to_the_next_deployment(gateway: Gateway) -> None:
    name = foreign(gateway, "echo-ctxlen")
    group = ModelGroup.objects.get(team=gateway.team, name=name)
    Deployment.objects.create(group=group, model="openai/echo", api_base=gateway.provider.url, priority=5)
    answer = gateway.chat("hello", model=name)
    assert (answer.status_code, answer.headers["x-wflo-model"]) == (200, "openai/echo")


def test_a_provider_that_is_not_there_costs_nothing_and_one_that_breaks_off_may(gateway: Gateway) -> None:
    """B47."""
    budget = gateway.budget("1")
    name = foreign(gateway)
    Deployment.objects.filter(group__name=name, group__team=gateway.team).update(api_base="http://127.0.0.1:9")
    answer = gateway.chat("hello", model=name)
    assert answer.status_code == 502
    assert "could not be reached" in answer.json()["error"]["message"]
    assert gateway.spent(budget) == 0


def http_200(body: bytes, length: int | None = None) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return head % (len(body) if length is None else length) + body


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "cohere"])
@pytest.mark.parametrize(
    "answer",
    [http_200(b"hello"), http_200(b'{"content": null}'), http_200(b"[]"), http_200(b'{"id": 1}', 1_000), b""],
    ids=["no json", "another shape", "a list", "half", "nothing"],
)
def test_whatever_litellm_raises_is_answered_and_settled(gateway: Gateway, provider: str, answer: bytes) -> None:
    """B47: a request went out and nobody knows what became of it, so all that was held is kept, and flagged."""
    budget = gateway.budget("1")
    with a_peer(answer) as address:
        got = gateway.chat("hello", model=foreign(gateway, provider=provider, api_base=address), max_tokens=20)
    assert got.status_code == 502, got.text
    assert "could not be read" in got.json()["error"]["message"]
    assert "Traceback" not in got.text
    assert gateway.spent(budget) > 0
    assert LedgerEntry.objects.get(team=gateway.team).is_estimated


def test_a_stream_that_breaks_off_says_so_and_its_money_is_kept(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    answer = gateway.chat("a b c d e f", model=foreign(gateway, "echo-cut"), stream=True)
    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    assert [chunk for chunk in chunks(answer) if "error" in chunk]
    assert gateway.spent(budget) > 0
    assert LedgerEntry.objects.get(team=gateway.team).is_estimated


def test_a_silent_provider_is_counted_by_us_and_flagged(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    gateway.chat("a b c d", model=foreign(gateway, "echo-nousage"), stream=True)
    assert gateway.spent(budget) > 0
    assert LedgerEntry.objects.get(team=gateway.team).is_estimated


def test_a_client_that_leaves_ends_the_providers_stream(gateway: Gateway) -> None:
    body = {"model": foreign(gateway, "echo-long-drip"), "stream": True, "max_tokens": 1500,
            "messages": [{"role": "user", "content": "go"}]}  # fmt: skip
    headers = {"authorization": f"Bearer {gateway.key}"}
    with gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        next(answer.iter_raw())
    assert wait_until(lambda: bool(gateway.provider.bill), seconds=15)
    assert gateway.provider.bill[0]["output"] < 1500


@pytest.mark.parametrize(
    "field",
    ["api_base", "base_url", "api_key", "headers", "extra_headers", "extra_body", "custom_llm_provider", "mock_response",
     "mock_tool_calls", "model_list", "fallbacks", "metadata.model_group", "litellm_params", "no-log", "hf_model_name",
     "input_cost_per_token", "prompt_id", "logger_fn", "guardrails", "cache", "azure", "deployment_id"],
)  # fmt: skip
def test_no_field_of_a_request_steers_litellm(gateway: Gateway, field: str) -> None:
    """B45."""
    name, _, inner = field.partition(".")
    value: Any = {inner: "x"} if inner else "http://127.0.0.1:9"
    messages = [{"role": "user", "content": "one two"}]
    body = {"model": foreign(gateway), "messages": messages, name: value}
    answer = gateway.post("/v1/chat/completions", body)
    if answer.status_code == 200:  # dropped: it is for the provider's books
        assert name == "metadata"
        assert name not in gateway.provider.requests[-1]["body"]
        return
    assert answer.status_code in (400, 422)
    assert name in answer.json()["error"]["message"]
    assert gateway.provider.requests == []


def test_a_deployment_without_a_key_gets_none_of_the_environments(gateway: Gateway) -> None:
    """B45: a provider's key goes to the provider's own address alone. The server has ANTHROPIC_API_KEY set."""
    assert gateway.chat("one", model=foreign(gateway, sealed_key=None)).status_code == 200
    assert "x-api-key: none" in head(gateway)
    assert "sk-environment" not in head(gateway)


@pytest.mark.parametrize("provider", ["gemini", "anthropic", "ollama"])
@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/secret.png", "file:///etc/passwd", "/etc/passwd"])
def test_pictures_are_not_fetched_from_inside_the_house(gateway: Gateway, provider: str, address: str) -> None:
    """S16."""
    picture = {"type": "image_url", "image_url": {"url": address.format(port=gateway.provider.port)}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "look"}, picture]}]
    gateway.post("/v1/chat/completions", {"model": foreign(gateway, provider=provider), "messages": messages})
    assert not [request for request in gateway.provider.requests if request["path"].endswith("secret.png")]
    sent = json.dumps([request["body"] for request in gateway.provider.requests])
    assert "root:" not in sent
    assert base64.b64encode(b"root:x:0:0").decode()[:12] not in sent


@pytest.mark.parametrize("suffix", ["", "/v1"])
def test_the_same_address_serves_anthropics_dialect_and_others(gateway: Gateway, suffix: str) -> None:
    address = gateway.provider.url.removesuffix("/v1") + suffix
    assert gateway.chat(model=foreign(gateway, api_base=address)).status_code == 200
    assert gateway.provider.requests[-1]["path"] == "/v1/messages"


def test_neither_keys_nor_prompts_are_in_the_log(gateway: Gateway) -> None:
    for script in ("echo-fail500", "echo-cut", "echo-fail401"):
        gateway.chat("a secret recipe", model=foreign(gateway, script), stream=script == "echo-cut")
    log = gateway.server.log.read_text()
    assert "sk-foreign" not in log
    assert "a secret recipe" not in log


def test_what_a_deployment_cannot_be_asked_is_named(gateway: Gateway) -> None:
    model = foreign(gateway)
    for field, value in {"logit_bias": {"5": 1}, "n": 2, "future_field": 1, "tools": [{"type": "web_search"}]}.items():
        answer = gateway.chat("one", model=model, **{field: value})
        assert answer.status_code == 400, field
        words = answer.json()["error"]["message"]
        assert ("runs itself" if field == "tools" else field) in words
        assert "Traceback" not in words
        assert "drop_params" not in words
    assert gateway.provider.requests == []
    hints = {"user": "u-1", "store": False, "metadata": {"a": "b"}, "n": 1, "logprobs": False}
    assert gateway.chat("one", model=model, **hints).status_code == 200


def test_the_call_is_a_span_with_the_model_that_answered(gateway: Gateway) -> None:
    gateway.chat("one two", model=foreign(gateway), headers={"x_wflo_run_id": "abroad"})
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    span = Span.objects.get(team=gateway.team)
    assert (span.provider, span.model, span.requested_model) == ("anthropic", "echo", "anthropic-echo")
    assert span.cost_usd == gateway.billed()


def test_importing_litellm_calls_nobody_and_reads_no_file_of_settings(tmp_path: Any) -> None:
    """S31."""
    (tmp_path / ".env").write_text("FROM_DOTENV=1\n")
    code = """
import os, sys
opened = []
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg", "socket.gethostbyname"):
        opened.append((event, args))
sys.addaudithook(hook)
import django
django.setup()
import threading
from tracking.gateway import litellm_provider
assert "litellm" not in sys.modules
thread = threading.Thread(target=litellm_provider._imported)
thread.start()
thread.join()
litellm = sys.modules["litellm"]
assert litellm.suppress_debug_info
assert not (litellm.callbacks or litellm.success_callback or litellm.failure_callback or litellm.cache)
print(opened, os.environ.get("FROM_DOTENV"))
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "wflo_site.settings"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[] None"]
