"""A web process or PostgreSQL killed in the midst of writing, a store that takes nothing: what was acknowledged is there, once.

Each test prints its seed; WFLO_CRASH_SEED runs it again, WFLO_CRASH_KILLS says how often to kill.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.journeys.crowd import Crowd, Request, SpanId, sums
from tests.journeys.house import House, a_folder, a_house
from wflo_site.processes import alive, wait_until

WEB_KILLS = int(os.environ.get("WFLO_CRASH_KILLS", "6"))
POSTGRES_KILLS = max(5, WEB_KILLS * 2 // 5)
MAIN_EVERY = 3  # of the kills of web processes, those that hit the one above them all
BACK_SECONDS = 90  # far more than it takes: a worker starts in three on a free machine
SMALL_DISK_MIB = 400
_SYS_ADMIN = 21  # capabilities(7)
MAY_MOUNT = bool(int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16) >> _SYS_ADMIN & 1)


@pytest.fixture
def house() -> Iterator[House]:
    with a_folder() as top, a_house(top) as house:
        yield house


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("WFLO_CRASH_SEED", "") or random.SystemRandom().randrange(2**32))
    print(f"WFLO_CRASH_SEED={seed}")  # noqa: T201  shown when the test fails
    return random.Random(seed)


def pause(house: House, crowd: Crowd, rng: random.Random, *, answer: str = "200") -> None:
    """Until some more requests were answered so, that the next fault falls into the midst of writing."""
    enough = crowd.statuses[answer] + rng.randrange(15, 60)
    assert wait_until(lambda: crowd.statuses[answer] >= enough, seconds=BACK_SECONDS), (
        f"{crowd.statuses} {house.running.said}"
    )


def kill(process: psutil.Process) -> None:
    process.kill()
    assert wait_until(lambda: not alive(process.pid), seconds=BACK_SECONDS)


def was_told_to_come_back_soon(crowd: Crowd) -> None:
    """I37"""
    assert set(crowd.statuses) == {"200", "503"}
    assert set(crowd.waits) <= {"1", "2", "3", "4", "5"}


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
        for request in there:  # a connection that died with PostgreSQL may cost one try still, as it may any sender
            taken = wait_until(lambda request=request: crowd.post(client, request), seconds=BACK_SECONDS)
            assert taken, f"{crowd.statuses} {house.running.said}"
    assert house.totals() == before
    assert house.known() - known == before["spans"].spans
    assert house.broken() == []


def test_a_killed_web_process_loses_no_acknowledged_span(house: House, rng: random.Random) -> None:
    """I38"""
    with Crowd(house.running.url, house.key, rng) as crowd:
        for number in range(1, WEB_KILLS + 1):
            pause(house, crowd, rng)
            above, *serving = house.web_processes()
            kill(above if number % MAIN_EVERY == 0 else serving[0])
            assert wait_until(lambda: len(house.web_processes()) == 3, seconds=BACK_SECONDS), house.running.said
    assert wait_until(house.is_served, seconds=BACK_SECONDS), house.running.said
    is_what_was_told(house, crowd)


def test_a_killed_database_loses_no_acknowledged_span(house: House, rng: random.Random) -> None:
    """I39: its main process and, in turn, one that serves a writer, which makes PostgreSQL restart itself."""
    with Crowd(house.running.url, house.key, rng) as crowd:
        for number in range(POSTGRES_KILLS):
            pause(house, crowd, rng)
            above, *writing = house.postgres()
            kill(above if number % 2 == 0 or not writing else rng.choice(writing))
            assert wait_until(house.is_served, seconds=BACK_SECONDS), house.running.said
        pause(house, crowd, rng)
    was_told_to_come_back_soon(crowd)
    is_what_was_told(house, crowd)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    ballast = disk / "ballast"
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64k"], check=False, capture_output=True)
    yield
    ballast.unlink()


@contextmanager
def read_only(house: House) -> Iterator[None]:
    """As after a change of the leading server: connections live, writing is refused."""
    with house.database() as connection:
        for state, then in (("on", True), ("off", False)):
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
            connection.execute("SELECT pg_reload_conf()")
            if then:
                yield


@contextmanager
def a_small_disk(top: Path) -> Iterator[Path]:
    """Only who may mount has one; for others the folder itself."""
    if not MAY_MOUNT:
        yield top
        return
    size = f"size={SMALL_DISK_MIB}m,mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(top)], check=True)
    try:
        yield top
    finally:
        subprocess.run(["umount", str(top)], check=True)


def test_a_store_that_takes_nothing_loses_nothing(rng: random.Random) -> None:
    """I35, O6: a full disk (where one can be mounted), a database that may only be read."""
    with ExitStack() as stack:
        disk = stack.enter_context(a_small_disk(stack.enter_context(a_folder())))
        house = stack.enter_context(a_house(disk))
        troubles = [lambda: read_only(house), *([lambda: full(disk)] if MAY_MOUNT else [])]
        with Crowd(house.running.url, house.key, rng) as crowd:
            for trouble in troubles:
                pause(house, crowd, rng)
                with trouble():
                    pause(house, crowd, rng, answer="503")
                assert wait_until(house.is_served, seconds=BACK_SECONDS), house.running.said
                pause(house, crowd, rng)
        was_told_to_come_back_soon(crowd)
        is_what_was_told(house, crowd)
