"""Jobs in a storm: a hundred of twenty steps, while web, workers, their children, beat, Redis and PostgreSQL are killed by the seed.
All come to their end, each step once; what was paid for twice is told."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.chaos.faults import Faults
from tests.chaos.judge import INPUT_USD, OUTPUT_USD, open_holds
from tests.fake_provider import Provider, a_provider
from tests.journeys.house import House, a_house
from tests.server import ROOT
from wflo_site.processes import wait_until

CALLS = 9  # of a tool, each after an answer; with the last answer 19 steps, and the job's end
MODEL = f"echo-walk{CALLS}"
REST_SECONDS = 240


@dataclass(slots=True)
class JobsVerdict:
    """``again``: steps that were begun more than once, so that their call may have been paid for twice."""

    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    steps: int = 0
    again: int = 0
    calls: int = 0
    billed_usd: Decimal = Decimal(0)
    wrong: list[str] = field(default_factory=list)


def run(seed: int, *, seconds: float, jobs: int = 100) -> JobsVerdict:
    top = Path(tempfile.mkdtemp(prefix="wflo-chaos-"))
    top.chmod(0o755)
    try:
        with a_provider() as provider, a_house(top, web_processes=2) as house:
            _prepare(house, provider)
            with _forking_worker(house) as forking:
                faults = Faults(house, seed, ("beat", "child"), forking)
                asyncio.run(_blow(house, faults, jobs, seconds))
                return _judged(house, provider, faults, jobs)
    finally:
        shutil.rmtree(top, ignore_errors=True)


@contextmanager
def _forking_worker(house: House) -> Iterator[psutil.Process]:
    """Beside the house's own worker of threads, one of processes, started as the other was."""
    own = house.running.child("worker")
    assert own is not None
    environ = {name: value for name, value in own.environ().items() if not name.endswith("_PULSE")}
    command = [
        *(sys.executable, "-m", "celery", "-A", "wflo_site.celery:app", "--quiet", "worker", "--pool", "prefork"),
        *("--concurrency", "2", "--hostname", "children@%h", "--loglevel", "ERROR"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True, **quiet)
    try:
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _blow(house: House, faults: Faults, jobs: int, seconds: float) -> None:
    await asyncio.gather(asyncio.to_thread(_submit, house, jobs), faults.fall(time.monotonic() + seconds))


def _prepare(house: House, provider: Provider) -> None:
    deployment = {"model": f"openai/{MODEL}", "api_base": provider.url, "api_key": "sk-provider"}
    figures = {"input_usd_per_million": float(INPUT_USD * 10**6), "output_usd_per_million": float(OUTPUT_USD * 10**6)}
    with _api(house) as api:
        for method, path, body in (
            ("PUT", f"/prices/openai/{MODEL}", {**figures, "valid_from": "2020-01-01T00:00:00Z"}),
            ("POST", "/model-groups", {"name": MODEL, "deployments": [deployment]}),
        ):
            answer = api.request(method, path, json=body)
            assert answer.status_code < 300, answer.text


def _submit(house: House, jobs: int) -> None:
    """Each is asked for until it is taken, by its key once."""
    definition = {
        "name": "walker",
        "model": MODEL,
        "tools": ["calculator"],
        "limits": {"steps": 100, "tool_iterations": 50},
    }
    with _api(house) as api:
        for number in range(jobs):
            body: dict[str, Any] = {
                "definition": definition,
                "input": f"job {number}",
                "idempotency_key": f"job-{number}",
            }
            assert wait_until(lambda body=body: _taken(api, body), seconds=90)


def _taken(api: httpx.Client, body: dict[str, Any]) -> bool:
    try:
        return api.post("/agent-jobs", json=body).status_code in (200, 202)
    except httpx.HTTPError:
        return False


def _judged(house: House, provider: Provider, faults: Faults, jobs: int) -> JobsVerdict:
    assert wait_until(house.is_served, seconds=60), house.running.said
    ended = "status IN ('completed', 'failed', 'cancelled')"
    is_over = wait_until(
        lambda: _count(house, f"SELECT count(*) FROM tracking_agentjob WHERE {ended}") == jobs, seconds=REST_SECONDS
    )
    wait_until(lambda: open_holds(house) == 0, seconds=REST_SECONDS)
    wait_until(lambda: not house.broken(), seconds=60)
    found = JobsVerdict(faults=faults.done, calls=len(provider.bill))
    found.statuses.update(dict(house.rows("SELECT status, count(*)::int FROM tracking_agentjob GROUP BY 1")))
    ((found.steps, found.again),) = house.rows(
        "SELECT count(position)::int, (count(*) FILTER (WHERE tries > 1))::int FROM tracking_jobstep"
    )
    tokens_in, tokens_out = provider.tokens()
    found.billed_usd = tokens_in * INPUT_USD + tokens_out * OUTPUT_USD
    found.wrong += [] if is_over else ["jobs that did not come to their end"]
    if found.statuses != Counter(completed=jobs):
        found.wrong.append(
            f"not all were completed: {house.rows('SELECT status, reason FROM tracking_agentjob WHERE status <> $$completed$$')[:5]}"
        )
    gaps = house.rows(
        "SELECT run, count(*), max(position) FROM tracking_jobstep WHERE position IS NOT NULL GROUP BY run"
        f" HAVING count(*) <> {2 * CALLS + 1} OR max(position) <> {2 * CALLS + 1}"
    )
    found.wrong += [f"steps of a run that are not all there once: {gaps[:5]}"] if gaps else []
    if found.calls > jobs * (CALLS + 1) + found.again:
        found.wrong.append(
            f"{found.calls} calls were paid for, {jobs * (CALLS + 1)} needed, {found.again} told as begun again"
        )
    found.wrong += [f"{open_holds(house)} holds stay open"] if open_holds(house) else []
    found.wrong += [str(one) for one in house.broken()]
    return found


def _count(house: House, sql: str) -> int:
    try:
        return int(house.rows(sql)[0][0])
    except Exception:  # the store stands up again
        return -1


def _api(house: House) -> httpx.Client:
    return httpx.Client(
        base_url=f"{house.running.url}/api/v1", headers={"authorization": f"Bearer {house.key}"}, timeout=30
    )
