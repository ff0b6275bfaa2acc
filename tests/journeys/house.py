"""A whole Wflo of a test's own, and a look into its store beside what its doors say."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from tests.journeys.crowd import SpanId, Sums
from tests.running import Running
from tracking import invariants
from wflo_site import devstack, embedded_postgres, embedded_valkey
from wflo_site.stack_home import Memory, recall

_DOOR = """SELECT coalesce(sum(spans), 0)::bigint FROM (
  SELECT agent, spans FROM tracking_usage WHERE slice = 11 AND grain = 0
  UNION ALL SELECT agent, spans FROM tracking_usage_delta WHERE slice = 11) AS door WHERE agent = 'known'"""


@dataclass(slots=True)
class House:
    """A whole Wflo of the test's own, and a look into its store."""

    running: Running
    key: str

    @property
    def _memory(self) -> Memory:
        """Where its stores are: asking does not start them."""
        memory = recall(self.running.home)
        assert memory is not None
        return memory

    def postgres(self) -> list[psutil.Process]:
        """The one above them all, then those that serve a connection."""
        number = embedded_postgres.pid(self._memory)
        if number is None:
            return []
        above = psutil.Process(number)
        return [above, *(one for one in above.children() if "wflo wflo" in " ".join(one.cmdline()))]

    @property
    def redis_url(self) -> str:
        return embedded_valkey.url(self._memory)

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(embedded_postgres.url(self._memory), autocommit=True)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.database() as connection:
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
        with self.database() as connection, connection.transaction():
            return invariants.broken(connection.cursor())

    def is_served(self) -> bool:
        """Web and database answer."""
        try:
            is_ready = httpx.get(f"{self.running.url}/health/ready", timeout=10).status_code == 200
            return is_ready and bool(self.rows("SELECT 1"))
        except (httpx.HTTPError, psycopg.OperationalError):
            return False

    def web_processes(self) -> list[psutil.Process]:
        """The one above them all, then those that serve, the oldest first."""
        main = self.running.child("granian")
        try:
            return [main, *sorted(main.children(), key=lambda one: one.create_time())] if main else []
        except psutil.Error:
            return []


@contextmanager
def a_house(top: Path, *, web_processes: int = 2) -> Iterator[House]:
    """Lives in a folder of ``top``."""
    running = Running(top / "home", WFLO_WEB_PROCESSES=str(web_processes), WFLO_LOG_LEVEL="ERROR").greeted()
    try:
        yield House(running, running.banner("API key"))
    finally:
        if running.process.poll() is None:
            running.end()
        devstack.stop(running.home)


@contextmanager
def a_folder() -> Iterator[Path]:
    """Of a short path that PostgreSQL's own user can enter."""
    top = Path(tempfile.mkdtemp(prefix="wflo-"))
    top.chmod(0o755)
    try:
        yield top
    finally:
        shutil.rmtree(top)
