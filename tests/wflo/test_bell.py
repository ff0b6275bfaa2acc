"""Whoever waits on the bell wakes when it rings, in threads and in loops, and misses no ring that came before."""

from __future__ import annotations

import asyncio
import os
import threading

from wflo.bell import Bell

LONG = 60.0


def test_a_ring_wakes_all_who_wait() -> None:
    bell, woken = Bell(), []
    threads = [threading.Thread(target=lambda: (bell.wait(LONG, 0), woken.append(1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(bell._waiting) < 8:
        pass
    bell.ring()
    for thread in threads:
        thread.join(LONG)
    assert len(woken) == 8
    assert bell._waiting == []


def test_a_ring_between_the_look_and_the_wait_is_not_missed() -> None:
    bell = Bell()
    since = bell.rung
    bell.ring()
    bell.wait(LONG, since)
    asyncio.run(bell.wait_async(LONG, since))


def test_nobody_waits_longer_than_was_said() -> None:
    bell = Bell()
    bell.wait(0.01, 0)
    asyncio.run(bell.wait_async(0.01, 0))
    assert bell._waiting == []


def test_a_ring_from_a_thread_wakes_a_loop_that_does_other_things_meanwhile() -> None:
    bell, turns = Bell(), []

    async def waits() -> None:
        await bell.wait_async(LONG, 0)

    async def both() -> None:
        waiting = asyncio.create_task(waits())
        for _ in range(3):
            await asyncio.sleep(0)
            turns.append(waiting.done())
        threading.Thread(target=bell.ring).start()
        await waiting

    asyncio.run(both())
    assert turns == [False, False, False]


def test_who_gives_up_waiting_is_forgotten() -> None:
    bell = Bell()

    async def gives_up() -> None:
        waiting = asyncio.create_task(bell.wait_async(LONG, 0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(gives_up())
    assert bell._waiting == []
    bell.ring()


def test_a_child_that_was_forked_while_it_rang_has_a_bell_of_its_own() -> None:
    from wflo.bell import bell

    with bell._lock:
        child = os.fork()
        if child == 0:
            bell.ring()
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
