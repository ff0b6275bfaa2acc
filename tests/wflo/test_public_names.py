"""What people import is there, and importing it is light."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys

import pytest

import wflo
from wflo.context import current_run, headers
from wflo.testing import captured


@pytest.mark.parametrize("name", wflo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(wflo, name) is not None


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        wflo.nothing_like_it  # noqa: B018


@pytest.mark.parametrize(
    ("home", "names"),
    [
        ("wflo.sdk", "WfloWorkflow WfloAgent with_wflo track_llm_call checkpoint with_retry"),
        ("wflo.sdk.workflow", "WfloWorkflow"),
        ("wflo.sdk.decorators", "track_llm_call checkpoint"),
        ("wflo.sdk.decorators.track_llm", "track_llm_call"),
        ("wflo.sdk.decorators.checkpoint", "checkpoint"),
        ("wflo.sdk.context", "current_run"),
        ("wflo.sdk.loop_detection", "detect_infinite_loop"),
        ("wflo.sdk.multi_agent", "consensus_vote ConsensusVoting track_agent_cost"),
        ("wflo.resilience", "with_retry circuit_breaker detect_contention"),
        ("wflo.resilience.retry", "with_retry"),
        ("wflo.resilience.circuit_breaker", "circuit_breaker"),
        ("wflo.resilience.contention", "detect_contention"),
        ("wflo.cost", "usage_of cost_of"),
    ],
)
def test_names_are_where_others_have_them(home: str, names: str) -> None:
    module = importlib.import_module(home)
    assert [name for name in names.split() if not hasattr(module, name)] == []


def test_importing_the_library_imports_no_framework_and_no_server() -> None:
    code = "import wflo, sys; wflo.WfloWorkflow; wflo.track_llm_call; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    tops = {name.partition(".")[0] for name in found}
    assert tops.isdisjoint(
        {"django", "pydantic", "openai", "litellm", "opentelemetry", "httpx", "langchain_core", "orjson"}
    )


def test_a_run_of_ones_own() -> None:
    with captured() as events:
        with wflo.run("block", budget_usd=1, agent="me", tags=["x"]) as this:
            assert current_run() is this
            assert headers() == {"X-Wflo-Run-Id": this.id, "X-Wflo-Agent": "me"}

        async def enter() -> None:
            async with wflo.run("async block", id="mine") as inner:
                assert current_run() is inner

        asyncio.run(enter())

        @wflo.run("function")
        def function(x: int) -> int:
            assert current_run() is not None
            return x + 1

        assert function(1) == 2
    assert current_run() is None
    assert headers() == {}
    names = [event.get("name") for event in events if event["kind"] == "run.start"]
    assert names == ["block", "async block", "function"]
    assert events[0]["tags"] == ["x"]
    with pytest.raises(ValueError, match="^id"):
        wflo.run(id="")


def test_settings_are_named_when_they_are_wrong() -> None:
    for wrong in (
        {"endpoint": "ftp://x"},
        {"queue_items": 0},
        {"redact": "some"},
        {"prices": {"m": {}}},
        {"colour": "red"},
    ):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}"):
            wflo.configure(**wrong)
