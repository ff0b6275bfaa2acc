"""A worker's engine: an event loop in a thread of its own that claims jobs and does them, several at once. Messages only wake it.

It looks by itself every few seconds, so a lost message, a broker that is away or a beat that sleeps delay nobody for long.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from tracking.errors import Unavailable
from tracking.gateway import finish
from tracking.gateway.threads import in_thread
from tracking.queue import claims, pauses, schedules
from tracking.queue.claims import Claim
from tracking.queue.runner import Running, run
from tracking.queue.stops import Cancelled, Lost, Yielded

log = logging.getLogger("wflo.queue")

LOOK_SECONDS = 3.0
GRACE_SECONDS = 2.5  # for a step that is under way when the worker is to end


class Engine:
    """Of one process. ``start`` it once; ``wake`` it from any thread; ``stop`` it in order."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.running: dict[Claim, Running] = {}
        self._started_at = datetime.now(UTC)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._woken: asyncio.Event | None = None
        self._is_stopping = False
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            if self._thread is None:
                ready = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(ready,), name="wflo-jobs", daemon=True)
                self._thread.start()
                ready.wait(10)

    def wake(self) -> None:
        loop, woken = self._loop, self._woken
        if loop is not None and woken is not None and not loop.is_closed():
            loop.call_soon_threadsafe(woken.set)

    def stop(self) -> None:
        """No more jobs are claimed; those under way go back to the queue at their next step, or now if that takes too long."""
        self._is_stopping = True
        self.wake()
        if self._thread is not None:
            self._thread.join(GRACE_SECONDS + 3)

    # --- the loop ---------------------------------------------------------------------------------------------------------

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._main(ready))

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        ready.set()
        beating = asyncio.create_task(self._beat())
        try:
            while not self._is_stopping:
                await self._fill()
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._woken.wait()
                except TimeoutError:
                    await _quietly(self._look_around)
                self._woken.clear()
            await self._give_back()
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _fill(self) -> None:
        """Claim jobs as long as there are some, and room for them."""
        while len(self.running) < settings.LIMITS["jobs_per_worker"] and not self._is_stopping:
            try:
                claim = await in_thread(lambda: claims.claim(self.name))
            except Unavailable:
                return
            if claim is None:
                return
            running = self.running[claim] = Running(claim)
            running.task = asyncio.create_task(self._do(running), name=f"job {claim.job_id}")

    async def _do(self, running: Running) -> None:
        try:
            await run(running)
        except Exception as error:
            log.error("a job could not be done", exc_info=error)
        finally:
            self.running.pop(running.claim, None)
            if self._woken is not None:
                self._woken.set()

    async def _beat(self) -> None:
        """Leases are renewed, and the watchdog sees that this loop lives."""
        pulse = os.environ.get("WFLO_ENGINE_PULSE", "")
        seconds = settings.LIMITS["job_lease_seconds"] / 4
        while True:
            if pulse:
                Path(pulse).touch()
            await _quietly(self._renew)
            await asyncio.sleep(seconds)

    async def _renew(self) -> None:
        held = list(self.running)
        began = time.monotonic()
        good = await in_thread(lambda: claims.renew(held))
        for claim in held:
            running = self.running.get(claim)
            if running is None:
                continue
            if claim not in good:
                running.stop(Lost("the job was taken over, or ended"), now=True)
            elif good[claim]:
                running.stop(Cancelled(), now=True)
        await in_thread(lambda: claims.say_seen(self.name, self._started_at, len(held)))
        if time.monotonic() - began > settings.LIMITS["job_lease_seconds"] / 2:
            log.warning("renewing leases took %.1f s", time.monotonic() - began)

    async def _look_around(self) -> None:
        """What time brings: lost jobs, money that is there again, decisions, schedules."""
        for work in (claims.take_back_lost, pauses.resume, pauses.take_letters, schedules.submit_due):
            await in_thread(work)

    async def _give_back(self) -> None:
        for running in list(self.running.values()):
            running.stop(Yielded())
        end = time.monotonic() + GRACE_SECONDS
        while self.running and time.monotonic() < end:
            await asyncio.sleep(0.02)
        for running in list(self.running.values()):
            running.stop(Yielded(), now=True)
        tasks = [one.task for one in list(self.running.values()) if one.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=2)
        await _drained()
        await _quietly(lambda: in_thread(lambda: claims.say_gone(self.name)))


async def _quietly(work: Any) -> None:
    try:
        await work()
    except Unavailable:
        return
    except Exception as error:
        log.error("a worker's round failed", exc_info=error)


async def _drained() -> None:
    """What settles and records goes on behind calls: it is waited for."""
    try:
        async with asyncio.timeout(2):
            await finish.drain()
    except TimeoutError:
        log.warning("the worker ends before all its calls were recorded; their holds will be")


engine = Engine()
