"""One storm from its beginning to the judgement."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.faults import Faults
from tests.chaos.judge import INPUT_USD, OUTPUT_USD, Verdict, judge, open_holds
from tests.chaos.storm import AGENTS, MODELS, Storm
from tests.fake_provider import Provider, a_provider
from tests.journeys.house import House, a_house
from wflo_site.processes import wait_until

WEB_PROCESSES = 4
REST_SECONDS = 180  # a lease, a sweep, and a house that has to stand up first
AGENT_USD, RUN_USD = 0.03, 0.02
DRAIN = "echo"  # the cheapest call


@dataclass(frozen=True, slots=True)
class Result:
    """``rest``: calls that the tightest budget answered when the storm was over, until it had no money for another."""

    statuses: Counter[str]
    faults: list[str]
    verdict: Verdict
    rest: int


def run(seed: int, *, seconds: float, clients: int = 200, team_usd: float = 0.2) -> Result:
    top = Path(tempfile.mkdtemp(prefix="wflo-chaos-"))
    try:
        with a_provider() as provider, a_house(top, web_processes=WEB_PROCESSES) as house:
            _prepare(house, provider, team_usd)
            storm, faults = Storm(house.running.url, house.key, seed, clients), Faults(house, seed)
            asyncio.run(_blow(storm, faults, seconds))
            _rest(house, provider)
            rest = _drained(house)
            _rest(house, provider)
            return Result(storm.statuses, faults.done, judge(house, provider.bill, storm.answered), rest)
    finally:
        shutil.rmtree(top, ignore_errors=True)


async def _blow(storm: Storm, faults: Faults, seconds: float) -> None:
    until = time.monotonic() + seconds
    await asyncio.gather(storm.blow(until), faults.fall(until))


def _prepare(house: House, provider: Provider, team_usd: float) -> None:
    with httpx.Client(base_url=house.running.url, headers={"authorization": f"Bearer {house.key}"}, timeout=30) as api:
        for model in MODELS:
            _sent(api, "PUT", f"/api/v1/prices/openai/{model}", {
                "input_usd_per_million": float(INPUT_USD * 10**6), "output_usd_per_million": float(OUTPUT_USD * 10**6),
                "valid_from": "2020-01-01T00:00:00Z",
            })  # fmt: skip
            deployment = {"model": f"openai/{model}", "api_base": provider.url, "api_key": "sk-provider"}
            _sent(api, "POST", "/api/v1/model-groups", {"name": model, "deployments": [deployment]})
        _budget(api, "team", {"kind": "team"}, "total", team_usd)
        for number in range(AGENTS):
            _budget(api, f"agent {number}", {"kind": "agent", "id": f"a-{number}"}, "total", AGENT_USD)
        _budget(api, "each run", {"kind": "run"}, "run", RUN_USD)


def _budget(api: httpx.Client, name: str, scope: dict[str, str], window: str, limit_usd: float) -> None:
    body = {"name": name, "scope": scope, "window": window, "limit_usd": limit_usd, "mode": "strict"}
    _sent(api, "POST", "/api/v1/budgets", body)


def _sent(api: httpx.Client, method: str, path: str, body: dict[str, Any]) -> None:
    answer = api.request(method, path, json=body)
    assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"


def _rest(house: House, provider: Provider) -> None:
    """Until nothing is under way and nothing is held."""
    assert wait_until(house.is_served, seconds=REST_SECONDS), house.running.said
    assert wait_until(lambda: provider.busy == 0, seconds=REST_SECONDS)
    assert wait_until(lambda: open_holds(house) == 0, seconds=REST_SECONDS), f"{open_holds(house)} holds stay open"
    wait_until(lambda: not house.broken(), seconds=30)  # spans are written a moment behind


def _drained(house: House) -> int:
    """As many calls answered as the money pays for: what is left of an agent's money is spent, until it pays for no more."""
    answered = 0
    with httpx.Client(base_url=house.running.url, headers={"authorization": f"Bearer {house.key}"}, timeout=60) as api:
        for number in range(10_000):
            body = {
                "model": DRAIN, "messages": [{"role": "user", "content": f"rest {number}"}], "max_tokens": 16,
                "user": f"call-rest-{number}",
            }  # fmt: skip
            answer = api.post("/v1/chat/completions", json=body, headers={"x-wflo-agent": "a-0"})
            if answer.status_code == 429:
                error = answer.json()["error"]
                assert error["code"] == "budget_exceeded", error
                assert error["available"] < 16 * float(OUTPUT_USD) + 0.0001, f"refused with money left: {error}"
                return answered
            assert answer.status_code == 200, answer.text
            answered += 1
    raise AssertionError("the money has no end")
