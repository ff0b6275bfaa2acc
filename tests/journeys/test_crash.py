"""A web process or PostgreSQL killed in the midst of writing: what was acknowledged is there, once.

Each test prints its seed; WFLO_CRASH_SEED runs it again, WFLO_CRASH_KILLS says how often to kill.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import psycopg
import pytest

from tests.journeys.crowd import Crowd, Request, SpanId, Sums, sums
from tests.running import Running
from tracking import invariants
from wflo_site import devstack
from wflo_site.processes import wait_until

WEB_KILLS = int(os.environ.get("WFLO_CRASH_KILLS", "12"))
POSTGRES_KILLS = max(5, WEB_KILLS * 2 // 5)
MAIN_EVERY = 6  # of the kills of web processes, those that hit the one above them all
BACK_SECONDS = 30
_DOOR = """SELECT coalesce(sum(spans), 0)::bigint FROM (
  SELECT agent, spans FROM tracking_usage WHERE slice = 11 AND grain = 0
  UNION ALL SELECT agent, spans FROM tracking_usage_delta WHERE slice = 11) AS door WHERE agent = 'known'"""


@dataclass(slots=True)
class House:
    """A whole Wflo of the test's own, and a look into its store."""

    running: Running
    key: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(devstack.start(self.running.home).database_url) as connection:
            return connection.execute(sql).fetchall()

    def spans(self) -> set[SpanId]:
        found = self.rows("SELECT trace_id, span_id FROM tracking_span")
        assert len(found) == len(set(found))
        return set(found)

    def totals(self) -> dict[str, Sums]:
        """The same figures as three places tell them: spans, runs, and usage through the API."""
        columns = "llm_calls, input_tokens, output_tokens, cost_usd"
        (spans,) = self.rows(
            "SELECT count(*), count(*) FILTER (WHERE kind = 2), sum(input_tokens)::bigint, sum(output_tokens)::bigint,"
            " sum(cost_usd) FROM tracking_span WHERE counted OR kind <> 2"
        )
        (runs,) = self.rows(
            "SELECT sum(span_count)::bigint, sum(llm_calls)::bigint, sum(input_tokens)::bigint,"
            " sum(output_tokens)::bigint, sum(cost_usd) FROM tracking_run"
        )
        now = datetime.now(UTC)
        asked = {"from": (now - timedelta(hours=3)).isoformat(), "to": (now + timedelta(hours=3)).isoformat()}
        answer = httpx.get(
            f"{self.running.url}/api/v1/usage",
            params=asked | {"group_by": "model"},
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
        )
        told = answer.json(parse_float=Decimal)["totals"]
        usage = (told["spans"], *(told[name] for name in columns.split(", ")))
        return {where: Sums(*row[:4], Decimal(row[4])) for where, row in
                {"spans": spans, "runs": runs, "usage": usage}.items()}  # fmt: skip

    def known(self) -> int:
        return int(self.rows(_DOOR)[0][0])

    def broken(self) -> list[invariants.Broken]:
        with psycopg.connect(devstack.start(self.running.home).database_url) as connection:
            return invariants.broken(connection.cursor())

    def is_served(self) -> bool:
        try:
            answer = httpx.post(
                f"{self.running.url}/v1/traces",
                headers={"authorization": f"Bearer {self.key}", "content-type": "application/json"},
                json={"resourceSpans": []},
                timeout=10,
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def web_processes(self) -> list[psutil.Process]:
        """Those that serve, the oldest first."""
        main = self.running.child("granian")
        try:
            return sorted(main.children(), key=lambda one: one.create_time()) if main else []
        except psutil.Error:
            return []


@pytest.fixture
def house() -> Iterator[House]:
    top = Path(tempfile.mkdtemp(prefix="wflo-"))
    top.chmod(0o755)
    running = Running(top / "home", WFLO_WEB_PROCESSES="2", WFLO_LOG_LEVEL="ERROR").greeted()
    try:
        yield House(running, running.banner("API key"))
    finally:
        if running.process.poll() is None:
            running.end()
        devstack.stop(running.home)
        shutil.rmtree(top)


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("WFLO_CRASH_SEED", "") or random.SystemRandom().randrange(2**32))
    print(f"WFLO_CRASH_SEED={seed}")  # noqa: T201  shown when the test fails
    return random.Random(seed)


def pause(crowd: Crowd, rng: random.Random) -> None:
    """Until some more requests were answered, so that the next kill falls into the midst of writing."""
    enough = crowd.statuses["200"] + rng.randrange(5, 40)
    assert wait_until(lambda: crowd.statuses["200"] >= enough, seconds=BACK_SECONDS), crowd.statuses


def is_what_was_told(house: House, crowd: Crowd) -> None:
    """Every acknowledged span is there once; what else is there came whole; all sums are those of the journal."""
    stored = house.spans()
    lost = [request for request in crowd.kept if not request.spans <= stored]
    assert lost == []
    there = [request for request in crowd.told if request.spans & stored]
    print(f"{sums(crowd.kept)} acknowledged, {sums(there).spans} spans stored; answers: {dict(crowd.statuses)}")  # noqa: T201
    assert [request for request in there if not request.spans <= stored] == []
    assert stored == set[SpanId]().union(*(request.spans for request in there))
    assert house.totals() == dict.fromkeys(("spans", "runs", "usage"), sums(there))
    assert house.broken() == []
    _changes_nothing_when_sent_again(house, crowd, there)


def _changes_nothing_when_sent_again(house: House, crowd: Crowd, there: list[Request]) -> None:
    before, known = house.totals(), house.known()
    with httpx.Client(timeout=30) as client:
        assert all(crowd.post(client, request) for request in there)
    assert house.totals() == before
    assert house.known() - known == before["spans"].spans
    assert house.broken() == []


def test_a_killed_web_process_loses_no_acknowledged_span(house: House, rng: random.Random) -> None:
    """I38"""
    with Crowd(house.running.url, house.key, rng) as crowd:
        for number in range(1, WEB_KILLS + 1):
            pause(crowd, rng)
            assert wait_until(lambda: len(house.web_processes()) == 2, seconds=BACK_SECONDS), house.running.said
            main = house.running.child("granian")
            assert main is not None
            (main if number % MAIN_EVERY == 0 else house.web_processes()[0]).kill()
    assert wait_until(house.is_served, seconds=BACK_SECONDS), house.running.said
    is_what_was_told(house, crowd)


def test_a_killed_database_loses_no_acknowledged_span(house: House, rng: random.Random) -> None:
    """I39: its main process and, in turn, one that serves a writer, which makes PostgreSQL restart itself."""
    with Crowd(house.running.url, house.key, rng) as crowd:
        for number in range(POSTGRES_KILLS):
            pause(crowd, rng)
            postmaster = psutil.Process(devstack.start(house.running.home).pids["postgres"])
            writing = [one for one in postmaster.children() if "wflo wflo" in " ".join(one.cmdline())]
            (postmaster if number % 2 == 0 or not writing else rng.choice(writing)).kill()
            assert wait_until(house.is_served, seconds=BACK_SECONDS), house.running.said
    assert set(crowd.statuses) <= {"200", "503"}
    assert crowd.statuses["503"] > 0
    assert set(crowd.waits) <= {"1", "2", "3", "4", "5"}
    is_what_was_told(house, crowd)
