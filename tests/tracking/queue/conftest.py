"""A team that has agents work for it: a web server, the scripted provider, and workers that tests start, stop and kill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.fake_provider import Provider, a_provider
from tests.make import empty_database
from tests.server import Server, running_server
from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway, gateway, make_group
from tests.tracking.queue.workers import Workers, agent, became
from tracking import pricing
from tracking.audit import SYSTEM
from tracking.ledger.sweep import sweep
from tracking.models import AgentJob, JobStep, Reservation
from tracking.queue import states

__all__ = ["gateway"]

TOOLS = "write_down", "pay", "rest", "crash", "tell_secret", "much"


@dataclass(slots=True)
class Yard:
    """``submit`` asks for a job over HTTP. ``workers`` do it once they are started."""

    gateway: Gateway
    workers: Workers

    def submit(self, definition: dict[str, Any] | None = None, **fields: Any) -> AgentJob:
        body = {"definition": definition or agent(), "input": "go on", **fields}
        answer = self.call("POST", "/agent-jobs", body)
        assert answer.status_code in (200, 202), answer.text
        return self.job(answer.json()["id"])

    def job(self, id: str) -> AgentJob:
        return states.job_of(self.gateway.team, id)

    def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.gateway.key}"}
        return self.gateway.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    @property
    def world(self) -> list[str]:
        """What tools changed."""
        path = self.workers.home / "world"
        return path.read_text().splitlines() if path.exists() else []

    def done(self, job: AgentJob, *, seconds: float = 60) -> AgentJob:
        became(job, *states.ENDED, seconds=seconds)
        assert job.status == "completed", f"{job.reason}\n{self.workers.log()}"
        return job

    def model(self, name: str) -> str:
        """A model of the scripted provider's, at its usual price."""
        make_group(self.gateway.team, name, self.gateway.provider.url)
        figures = {"input_usd_per_million": str(INPUT_USD * 10**6), "output_usd_per_million": str(OUTPUT_USD * 10**6)}
        pricing.set_price(SYSTEM, self.gateway.team, f"openai/{name}", figures, valid_from="2020-01-01T00:00:00Z")
        return name

    def walker(self, steps: int, *tools: str, **fields: Any) -> dict[str, Any]:
        """An agent that calls a tool so many times, then answers: 2 x ``steps`` + 1 steps."""
        limits = {"steps": 200, "tool_iterations": 100}
        return agent(
            model=self.model(f"echo-walk{steps}"), tools=list(tools or ("calculator",)), limits=limits, **fields
        )

    def steps(self, job: AgentJob) -> list[JobStep]:
        return list(JobStep.objects.filter(team=job.team_id, run=job.run, position__isnull=False).order_by("position"))

    def cost(self, job: AgentJob) -> Decimal:
        """What its steps cost."""
        return sum((step.cost_usd or Decimal(0) for step in self.steps(job)), Decimal(0))


@pytest.fixture(scope="module")
def _running(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Provider]]:
    home = tmp_path_factory.mktemp("yard")
    with django_db_blocker.unblock(), a_provider() as provider, running_server(home, extra=_variables(home)) as server:
        try:
            yield server, provider
        finally:
            empty_database()


def _variables(home: Path) -> dict[str, str]:
    names = ",".join(f"tests.tracking.queue.tools:{name}" for name in TOOLS)
    return {"WFLO_TOOLS": names, "JOB_TEST_WORLD": str(home / "world")}


@pytest.fixture(scope="module")
def _crew(
    _running: tuple[Server, Provider], django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workers]:
    """A worker for all tests of a file, with little patience."""
    home = tmp_path_factory.mktemp("crew")
    crew = Workers(home, **_variables(home))
    with django_db_blocker.unblock():
        crew.start(limits={"job_lease_seconds": 4, "job_attempts": 2, "job_rest_seconds": 1})
        yield crew
        crew.end()


@pytest.fixture
def working(gateway: Gateway, _crew: Workers) -> Yard:
    """With a worker at work."""
    (_crew.home / "world").unlink(missing_ok=True)
    return Yard(gateway, _crew)


@pytest.fixture
def yard(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    home = tmp_path_factory.mktemp("workers")
    workers = Workers(home, **_variables(home))
    try:
        yield Yard(gateway, workers)
    finally:
        workers.end()
        Reservation.objects.filter(team=gateway.team).update(
            lease_until="2000-01-01T00:00:00Z"
        )  # of workers that were killed
        sweep()
        AgentJob.objects.filter(team=gateway.team).exclude(status__in=states.ENDED).update(status="cancelled")
