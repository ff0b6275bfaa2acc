"""Group commit: one thread a process writes what all its requests brought, in as few transactions as there can be.

While one transaction waits for the disk the next batches gather, so the more that comes the more a commit carries. A
request is answered when its own commit is done. When a transaction fails for one batch's sake, each batch is written
alone, so that nobody pays for a neighbour.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from django.conf import settings
from psycopg import errors as pg

from tracking import retention
from tracking.errors import QuotaReached, Unavailable
from tracking.ingest import beside, controls
from tracking.ingest.batch import Batch, Receipt
from tracking.ingest.clocks import DAY_NS
from tracking.ingest.run_state import new_day
from tracking.ingest.write import Written, write
from tracking.sql import statements

log = logging.getLogger(__name__)

_RETRIED = (pg.UniqueViolation, pg.DeadlockDetected, pg.SerializationFailure)
# A server that may only be read was leading once: the next connection may find the one that leads now.
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, pg.ReadOnlySqlTransaction)
_ONE_MAY_BE_TO_BLAME = (pg.QueryCanceled, pg.LockNotAvailable)
_TRIES = 6
AGENTS_REMEMBERED = 100_000
DAY_US = DAY_NS // 1000

Job = tuple[Batch, "Future[Receipt]"]


def connect() -> psycopg.Connection[Any]:
    """A connection of the writer's own, with the same settings as Django's."""
    config = settings.DATABASES["default"]
    options = {k: v for k, v in config["OPTIONS"].items() if k != "pool"}
    return psycopg.connect(
        dbname=config["NAME"],
        user=config["USER"],
        password=config["PASSWORD"],
        host=config["HOST"],
        port=config["PORT"] or None,
        autocommit=True,
        connect_timeout=5,
        **options,
    )


class Store:
    """What a writer knows of the database between transactions."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None
        self._days: set[date] = set()
        self._agents: dict[tuple[int, str], int] = {}  # (team, name) -> when first seen, as far as this process knows

    def write(self, batches: Sequence[Batch]) -> list[Receipt]:
        """Commit ``batches`` together. Raises psycopg errors, or OSError, with nothing written."""
        for attempt in range(_TRIES):
            connection = self._connected()
            self._make_days(connection, batches)
            try:
                with beside.together(connection, batches):
                    written = write(connection, batches)
            except _RETRIED:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(0.005 * 2**attempt)
            except pg.CheckViolation as error:
                if "no partition" not in str(error):
                    raise
                self._days.clear()  # dropped by retention since we looked
            else:
                self._name_agents(connection, written)
                controls.tell(connection, batches, written.receipts)
                return written.receipts
        raise pg.SerializationFailure("the partition of a run's day went away again and again")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect()
        return self._connection

    def _make_days(self, connection: psycopg.Connection[Any], batches: Sequence[Batch]) -> None:
        starts = {span.started_ns // DAY_NS for batch in batches for span in batch.spans}
        starts |= {batch.received_ns // DAY_NS for batch in batches if batch.logs}
        days = {new_day(start * DAY_US) for start in starts}
        missing = days - self._days
        if not missing:
            return
        with connection.transaction(), connection.cursor() as cursor:
            retention.make_days(cursor, missing)
        self._days |= missing

    def _name_agents(self, connection: psycopg.Connection[Any], written: Written) -> None:
        """Give agents never seen before their colour; the run's page needs it, the commit does not."""
        seen: dict[tuple[int, str], int] = {}
        for state in written.runs:
            if state.course is not None:
                for name in state.totals.agents:
                    key = (state.team_id, name)
                    seen[key] = min(seen.get(key, state.course.started_us), state.course.started_us)
        earlier = {key: us for key, us in seen.items() if us < self._agents.get(key, us + 1)}
        if not earlier:
            return
        ordered = sorted(earlier)
        parameters = {
            "teams": [team for team, _ in ordered],
            "names": [name for _, name in ordered],
            "seen": [datetime.fromtimestamp(earlier[key] / 1e6, UTC) for key in ordered],
        }
        try:
            connection.execute(statements("ingest")["add_agents"], parameters)
        except psycopg.Error:
            log.warning("agents got no colour yet; the next span of each tries again", exc_info=True)
            return
        if len(self._agents) > AGENTS_REMEMBERED:
            self._agents.clear()
        self._agents |= earlier


class Writer:
    """The process's writer thread and the queue before it."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = 0  # spans handed in and not written yet
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, batch: Batch) -> Future[Receipt]:
        """Queue a batch. Raises Unavailable when too much waits already."""
        size = len(batch.spans) + len(batch.logs) + 1
        with self._lock:
            if self._waiting and self._waiting + size > settings.LIMITS["writer_spans_waiting"]:
                raise Unavailable("More spans are waiting to be written than this process may hold.")
            self._waiting += size
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="wflo-writer", daemon=True)
                self._thread.start()
        future: Future[Receipt] = Future()
        future.set_running_or_notify_cancel()  # from here on it cannot be cancelled: it will be written
        self._jobs.put((batch, future))
        return future

    def stop(self) -> None:
        """Write what waits, then end the thread."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._jobs.put(None)
            thread.join()

    def _run(self) -> None:
        store = Store()
        while True:
            jobs, is_last = self._gather()
            if jobs:
                _commit(store, jobs)
                with self._lock:
                    self._waiting -= sum(len(b.spans) + len(b.logs) + 1 for b, _ in jobs)
            if is_last:
                store.close()
                return

    def _gather(self) -> tuple[list[Job], bool]:
        """Everything that waits, up to a commit's limit; waits for the first."""
        jobs: list[Job] = []
        spans = 0
        job = self._jobs.get()
        while True:
            if job is None:
                return jobs, True
            jobs.append(job)
            spans += len(job[0].spans)
            if spans >= settings.LIMITS["writer_spans_per_commit"]:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False


def _commit(store: Store, jobs: list[Job]) -> None:
    try:
        receipts = store.write([batch for batch, _ in jobs])
    except Exception as error:  # the thread must live, and every waiter must hear
        is_away = isinstance(error, _AWAY)
        if len(jobs) == 1 or (is_away and not isinstance(error, _ONE_MAY_BE_TO_BLAME)):
            _refuse(store, jobs, error)
        else:
            for job in jobs:
                _commit(store, [job])
        return
    for (_, future), receipt in zip(jobs, receipts, strict=True):
        if receipt.is_over_quota:
            future.set_exception(QuotaReached())
        else:
            future.set_result(receipt)


def _refuse(store: Store, jobs: list[Job], error: Exception) -> None:
    log.error("a batch could not be written: %s", error, exc_info=not isinstance(error, _AWAY))
    if isinstance(error, _AWAY):
        store.close()
    for _, future in jobs:
        future.set_exception(Unavailable())


_writer = Writer()


def submit(batch: Batch) -> asyncio.Future[Receipt]:
    """Queue a batch of this process; the future ends when it is committed, or raises Unavailable."""
    return asyncio.wrap_future(_writer.submit(batch))


def stop() -> None:
    """Write what waits and end the thread; a later batch starts it again."""
    _writer.stop()


def accept(batch: Batch) -> Receipt:
    """Commit a batch and wait for it, from a thread of any kind."""
    return _writer.submit(batch).result()
