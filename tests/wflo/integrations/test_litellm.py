"""LiteLLM, watched, before a scripted provider that keeps its own bill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.fake_provider import Provider, a_provider
from tests.wflo.integrations.test_clients import RATES, WORDS, billed, calls
from wflo import config, recording
from wflo.errors import BudgetExceededError, RunKilledError
from wflo.runs import Run
from wflo.testing import captured

with pytest.MonkeyPatch.context() as _quiet:  # else it fetches prices as it is imported
    _quiet.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    _quiet.setenv("LITELLM_MODE", "PRODUCTION")
    import litellm

    from wflo.integrations.litellm import WfloLogger, instrument_litellm

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM's own

# The lists that LiteLLM fills from its callbacks.
_KEPT = "input_callback", "success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        yield provider


@pytest.fixture
def asked(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What every call names."""
    provider.clear()
    models = ("echo", "openai/echo", "echo-drip", "echo-fail400", "echo-nousage")
    monkeypatch.setattr(config, "_present", config.Config(prices=dict.fromkeys(models, RATES)))
    monkeypatch.setattr("wflo.price_list._found", {})
    for kept in ("callbacks", *_KEPT):
        monkeypatch.setattr(litellm, kept, [])
    return {"model": "openai/echo", "messages": WORDS, "api_base": provider.url, "api_key": "k", "num_retries": 0}


@pytest.fixture
def undo() -> Iterator[Callable[[], None]]:
    undo = instrument_litellm()
    yield undo
    undo()


@pytest.fixture
def logger(asked: dict[str, Any]) -> WfloLogger:
    logger = WfloLogger()
    litellm.callbacks = [logger]
    return logger


def told_of(events: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """LiteLLM tells its callbacks in its own time."""
    end = time.monotonic() + 10
    while len(calls(events)) < number and time.monotonic() < end:
        time.sleep(0.02)
    return calls(events)


def test_whole_and_streamed_awaited_or_not_cost_what_the_provider_bills(
    asked: dict[str, Any], undo: Callable[[], None], provider: Provider
) -> None:
    async def awaited() -> None:
        answer = await litellm.acompletion(**asked)
        assert answer.choices[0].message.content == "one two three"
        pieces = [piece async for piece in await litellm.acompletion(**asked, stream=True)]
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces).strip() == "one two three"

    with captured() as events, recording.running(Run()) as run:
        assert litellm.completion("openai/echo", WORDS, api_base=provider.url, api_key="k").choices
        pieces = list(litellm.completion(**asked, stream=True))
        assert not any(getattr(piece, "usage", None) for piece in pieces), "it was not asked for"
        asyncio.run(awaited())
        litellm.embedding(model="openai/echo", input=["one two"], api_base=provider.url, api_key="k")
    told = calls(events)
    assert [call["span_kind"] for call in told] == ["llm"] * 4 + ["embedding"]
    assert {call["provider"] for call in told} == {"openai"}
    assert told[0]["input"] == WORDS
    assert run.used.whole.cost_usd == billed(provider)
    undo()
    with captured() as events, recording.running(Run()):
        litellm.completion(**asked)
    assert calls(events) == []


def test_budgets_and_stops_bind_it(asked: dict[str, Any], undo: Callable[[], None], provider: Provider) -> None:
    with recording.running(Run(budget_usd=Decimal("0.00000001"))), pytest.raises(BudgetExceededError) as over:
        litellm.completion(**asked)
    assert over.value.answer.choices[0].message.content == "one two three"
    with recording.running(Run()) as run:
        run.control = {"status": "killed", "kill_reason": "enough"}
        before = len(provider.bill)
        with pytest.raises(RunKilledError):
            asyncio.run(litellm.acompletion(**asked))
        assert len(provider.bill) == before


def test_a_failure_is_told_and_stays_what_it_is(asked: dict[str, Any], undo: Callable[[], None]) -> None:
    with captured() as events, recording.running(Run()) as run, pytest.raises(litellm.BadRequestError):
        litellm.completion(**{**asked, "model": "openai/echo-fail400"})
    (failed,) = calls(events)
    assert failed["status"] == "error"
    assert run.used.whole.errors == 1


def test_its_callback_records_who_imported_a_function_by_name(
    asked: dict[str, Any], logger: WfloLogger, provider: Provider
) -> None:
    with captured() as events, recording.running(Run()) as run:
        litellm.completion(**asked)
        list(litellm.completion(**asked, stream=True, stream_options={"include_usage": True}))
        with pytest.raises(litellm.BadRequestError):
            litellm.completion(**{**asked, "model": "openai/echo-fail400"})
        told = told_of(events, 3)
    assert sorted(call["status"] for call in told) == ["error", "ok", "ok"]
    assert {call["run_id"] for call in told} == {run.id}
    assert run.used.whole.cost_usd == billed(provider)
    assert logger._open == {}


def test_a_call_outside_of_every_run_is_one_of_its_own(asked: dict[str, Any], logger: WfloLogger) -> None:
    async def work() -> None:
        await litellm.acompletion(**asked)
        await asyncio.sleep(0.5)  # LiteLLM tells of it in this loop

    with captured() as events:
        asyncio.run(work())
        (told,) = told_of(events, 1)
    assert told["run_id"].startswith("temp-")
    of_runs = [(event["kind"], event["run_id"]) for event in events if event["kind"].startswith("run.")]
    assert of_runs == [("run.start", told["run_id"]), ("run.end", told["run_id"])]


def test_with_both_a_call_counts_once(
    asked: dict[str, Any], logger: WfloLogger, undo: Callable[[], None], provider: Provider
) -> None:
    with captured() as events, recording.running(Run()) as run:
        litellm.completion(**asked)
        time.sleep(0.5)
    assert len(calls(events)) == 1
    assert run.used.whole.cost_usd == billed(provider)
