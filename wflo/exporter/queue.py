"""Events that wait to be sent: so many and so many bytes at the most. The oldest go first, and are counted."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping


class Queue:
    """``put`` never waits. ``settled`` says how many of those ever put are answered for, sent or not.

    The lock is one that its own thread may take again: a signal's handler may flush in the middle of a ``put``.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._dropped: Counter[str] = Counter()  # since the start
        self._untold: Counter[str] = Counter()  # of them, those the server does not know of
        self._waiters = 0
        self.put_count = 0
        self.settled_count = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: bytes, *, items_max: int, bytes_max: int) -> int:
        """How many wait now."""
        with self._lock:
            self.put_count += 1
            self._events.append(event)
            self._bytes += len(event)
            given_up = 0
            while len(self._events) > items_max or (self._bytes > bytes_max and self._events):
                self._bytes -= len(self._events.popleft())
                given_up += 1
            if given_up:
                self.drop("queue_full", given_up)
            return len(self._events)

    def take(self, *, items_max: int, bytes_max: int) -> list[bytes]:
        """The oldest, so many and so many bytes at the most; one at least, if there is one."""
        with self._lock:
            taken: list[bytes] = []
            size = 0
            while self._events and len(taken) < items_max and (not taken or size + len(self._events[0]) <= bytes_max):
                event = self._events.popleft()
                size += len(event)
                taken.append(event)
            self._bytes -= size
            return taken

    def settle(self, count: int) -> None:
        """So many of those put are answered for."""
        with self._lock:
            self.settled_count += count
            if self._waiters:
                self.changed.notify_all()

    def drop(self, reason: str, count: int) -> None:
        """So many of those put are given up."""
        with self._lock:
            self.count(reason, count)
            self.settle(count)

    def count(self, reason: str, count: int = 1) -> None:
        with self._lock:
            self._dropped[reason] += count
            self._untold[reason] += count

    def dropped(self) -> dict[str, int]:
        with self._lock:
            return dict(self._dropped)

    def untold(self) -> dict[str, int]:
        with self._lock:
            return {reason: count for reason, count in self._untold.items() if count > 0}

    def told(self, counts: Mapping[str, int]) -> None:
        """The server knows of these."""
        with self._lock:
            self._untold.subtract(counts)

    def wait_settled(self, target: int, seconds: float) -> bool:
        with self._lock:
            self._waiters += 1
            try:
                return self.changed.wait_for(lambda: self.settled_count >= target, timeout=max(seconds, 0))
            finally:
                self._waiters -= 1
