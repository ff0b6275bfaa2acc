"""A bell: whoever waits for news of the server hears at once that there is some, in a thread or in an event loop.

It does not say what is new. Who waits looks, and waits on from the count it had read before it looked, so that nothing
that rings meanwhile is missed.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable


class Bell:
    def __init__(self) -> None:
        self.rung = 0
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], object]] = []

    def ring(self) -> None:
        with self._lock:
            self.rung += 1
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    def wait(self, seconds: float, since: int) -> None:
        """Until it rings after ``since`` was read, and ``seconds`` at most."""
        event = threading.Event()
        wake = event.set
        if self._enter(wake, since):
            event.wait(seconds)
            self._leave(wake)

    async def wait_async(self, seconds: float, since: int) -> None:
        """The same for code that awaits."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # its loop is closed: nobody waits
                pass

        if self._enter(wake, since):
            try:
                await asyncio.wait_for(event.wait(), seconds)
            except TimeoutError:
                pass
            finally:
                self._leave(wake)

    def forget(self) -> None:
        """In a child that was forked: whoever waited or rang did so elsewhere."""
        self._lock, self._waiting = threading.Lock(), []

    def _enter(self, wake: Callable[[], object], since: int) -> bool:
        """False: it rang already."""
        with self._lock:
            if self.rung != since:
                return False
            self._waiting.append(wake)
            return True

    def _leave(self, wake: Callable[[], object]) -> None:
        with self._lock:
            if wake in self._waiting:
                self._waiting.remove(wake)


bell = Bell()  # of this process: something was heard of a run, or of a question

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=bell.forget)
