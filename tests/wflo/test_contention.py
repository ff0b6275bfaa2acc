"""Taking turns: at most so many at a time, first come, first served, and nobody hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.wflo.calls import KINDS, called, of_kind
from wflo.contention import detect_contention, statistics
from wflo.errors import ContentionDetectedError

_numbers = count()


def fresh() -> str:
    return f"resource-{next(_numbers)}"


class Inside:
    """How many are in at once, and the most there ever were."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, seconds: float = 0.005) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(seconds)
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("kind", KINDS)
def test_at_most_so_many_at_a_time(kind: str) -> None:
    name, inside = fresh(), Inside()
    guarded = detect_contention(name, max_concurrent=2, contention_threshold=100)(of_kind(kind, inside))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: called(guarded), range(24)))
    assert inside.most <= 2
    told = statistics(name)
    assert (told["acquired"], told["refused"], told["waiting"], told["holders"]) == (24, 0, 0, [])
    assert told["contended"] > 0


def test_tasks_and_threads_wait_in_one_queue() -> None:
    name, inside = fresh(), Inside()
    guarded: Any = detect_contention(name, contention_threshold=100)(inside)

    @detect_contention(name, contention_threshold=100)
    async def task() -> None:
        inside.now += 1
        inside.most = max(inside.most, inside.now)
        await asyncio.sleep(0.005)
        inside.now -= 1

    async def work() -> None:
        await asyncio.gather(*(task() for _ in range(8)), *(asyncio.to_thread(guarded) for _ in range(8)))

    asyncio.run(work())
    assert (inside.most, statistics(name)["acquired"]) == (1, 16)


def test_who_waits_too_long_is_told_who_holds_it() -> None:
    name, holds, may_go = fresh(), threading.Event(), threading.Event()

    def hold() -> None:
        holds.set()
        may_go.wait(10)

    guarded: Any = detect_contention(name, timeout=0.05)(hold)
    holder = threading.Thread(target=guarded)
    holder.start()
    holds.wait(10)
    try:
        with pytest.raises(ContentionDetectedError) as refused:
            guarded()
        assert refused.value.resource_name == name
        assert refused.value.wait_time >= 0.05
        assert len(refused.value.holders) == 1
    finally:
        may_go.set()
        holder.join()
    assert statistics(name)["waiting"] == 0


def test_too_long_a_queue_is_refused_at_once() -> None:
    name, may_go = fresh(), threading.Event()
    guarded: Any = detect_contention(name, contention_threshold=2)(lambda: may_go.wait(10))
    threads = [threading.Thread(target=guarded) for _ in range(3)]
    for thread in threads:
        thread.start()
    while statistics(name)["waiting"] < 2:
        time.sleep(0.001)
    try:
        with pytest.raises(ContentionDetectedError):
            guarded()
        assert statistics(name)["refused"] == 1
    finally:
        may_go.set()
        for thread in threads:
            thread.join()


def test_holders_who_wait_for_one_another_are_noticed_at_once() -> None:
    first, second = fresh(), fresh()
    both = threading.Barrier(2)
    outcomes: list[str] = []

    def work(one: str, other: str) -> None:
        @detect_contention(one, timeout=20)
        def outer() -> None:
            both.wait(10)
            detect_contention(other, timeout=20)(lambda: None)()

        try:
            outer()
            outcomes.append("done")
        except ContentionDetectedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=work, args=names) for names in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert sorted(outcomes) == ["done", "refused"]


def test_a_failure_lets_the_next_one_in() -> None:
    name = fresh()

    def failing() -> None:
        raise ValueError("no luck")

    guarded: Any = detect_contention(name)(failing)
    for _ in range(3):
        with pytest.raises(ValueError, match="no luck"):
            guarded()
    assert statistics(name)["holders"] == []


def test_numbers_that_mean_nothing() -> None:
    for arguments in ({"timeout": -1}, {"contention_threshold": 0}, {"max_concurrent": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            detect_contention("x", **arguments)
