"""The thread that sends: gathers a batch, sends it, and does what the answer's status asks for.

2xx                     done; what was rejected alone is counted, what the server wants of runs is told
413                     in halves, down to one event, which is given up
429 502 503 504, none   again, with back-off and jitter, after Retry-After where one is given; from the disk, where there is one
500 and other 5xx       again, SERVER_TRIES times, then given up
401 403 3xx             the address or the key is wrong: nothing is sent until ``configure`` says another
400 422                 in halves, once, for one bad event may spoil the whole
other 4xx               given up
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from wflo import config, otlp
from wflo.config import Config
from wflo.exporter.queue import Queue
from wflo.exporter.spool import Spool
from wflo.exporter.transport import Answer, Transport

log = logging.getLogger("wflo")

PATH = "/api/v1/ingest"
OPEN_RUNS_MAX = 200
SERVER_TRIES = 4
BACKOFF_SECONDS, BACKOFF_MAX_SECONDS, RETRY_AFTER_MAX_SECONDS = 0.5, 30.0, 60.0
ADOPT_SECONDS = 30.0
SPOOL_SECONDS = 1.0  # from one look at what is on disk to the next, while nothing else is to be done
QUIET_SECONDS = 60.0
_AGAIN = frozenset((0, 408, 425, 429, 502, 503, 504))
_SPOILT = frozenset((400, 422))
_WRONG = frozenset((301, 302, 303, 307, 308, 401, 403))


class Sender:
    """One for a process. ``open_events`` and ``open_runs`` say what is under way."""

    def __init__(self) -> None:
        self.on_control: list[Callable[[dict[str, Any]], None]] = []
        self.open_events: Callable[[], Iterable[bytes]] = tuple
        self.open_runs: Callable[[], list[str]] = list
        self.reset()

    def reset(self) -> None:
        """As a process begins: an empty queue, no thread, no connection."""
        inherited: Spool | None = getattr(self, "_spool", None)
        if inherited is not None:
            inherited.forget()
        self.queue = Queue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._flush_to = 0
        self._is_ending = False
        self._deadline: float | None = None  # of the process's end
        self._transport: Transport | None = None
        self._is_stale = False  # it is of a configuration before
        self._spool: Spool | None = None
        self._is_refused = False  # the key or the address is wrong
        self._failures = 0  # in a row
        self._rest_until = 0.0  # then what is on disk is tried again
        self._logged: dict[str, float] = {}
        self._told_at = self._adopted_at = -QUIET_SECONDS

    # --- the host's side: never waits for the thread ------------------------------------------------------------------------

    def put(self, event: bytes) -> bool:
        """Whether a thread was started for it."""
        settings = config.current()
        waiting = self.queue.put(event, items_max=settings.queue_items, bytes_max=settings.queue_bytes)
        if waiting == 1 or waiting >= settings.batch_items:
            self._wake.set()
        return self._thread is None and self._start()

    def _start(self) -> bool:
        with self._starting:
            if self._thread is not None:
                return False
            self._is_ending = False
            thread = threading.Thread(target=self._run, name="wflo-exporter", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending
                return False
            self._thread = thread
            return True

    def flush(self, seconds: float) -> bool:
        if self._thread is None:
            return self.queue.settled_count >= self.queue.put_count
        target = self.queue.put_count
        self._flush_to = target
        self._wake.set()
        return self.queue.wait_settled(target, seconds)

    def shutdown(self, seconds: float) -> None:
        thread = self._thread
        if thread is None:
            return
        self._deadline = time.monotonic() + seconds
        self._is_ending = True
        self._wake.set()
        self.queue.wait_settled(self.queue.put_count, seconds)
        thread.join(max(self._deadline - time.monotonic(), 0.01))
        if self._spool is not None:
            self._keep_rest()
        left = self.queue.put_count - self.queue.settled_count
        if left > 0 and self._spool is None:
            self.queue.count("unsent_at_exit", left)
            self._say("exit", "%d events could not be sent before the process ended", left)
        self._thread = None
        self._deadline = None

    def _keep_rest(self) -> None:
        """The thread is held up: what waits behind it goes to the disk from here."""
        settings = config.current()
        while taken := self.queue.take(items_max=settings.batch_items, bytes_max=settings.batch_bytes):
            if self._spooled(taken) is None:
                self.queue.drop("unsent_at_exit", len(taken))
            else:
                self.queue.settle(len(taken))

    def reconfigured(self) -> None:
        self._is_refused = False
        self._rest_until = 0.0
        self._is_stale = True
        self._wake.set()

    # --- the thread's side ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        me = threading.current_thread()
        _trace_nothing()
        while self._thread in (me, None):
            try:
                if not self._turn():
                    break
            except Exception as error:
                self._say("fault", "the exporter failed: %s: %s", type(error).__name__, error)
                time.sleep(0.1)
        if self._thread in (me, None):
            self._close()

    def _close(self) -> None:
        transport, spool = self._transport, self._spool
        self._transport = self._spool = None
        if transport is not None:
            transport.close()
        if spool is not None:
            spool.close()

    def _turn(self) -> bool:
        """Send what there is; False when there is nothing more to do, for good."""
        settings = config.current()
        self._pause(settings)
        if not settings.is_sending:
            self.queue.settle(len(self.queue.take(items_max=2**31, bytes_max=2**31)))
            return not self._is_ending
        self._prepare(settings)
        announced = [] if self._is_ending else self._asked(self.open_events)
        taken = self.queue.take(items_max=settings.batch_items, bytes_max=settings.batch_bytes)
        if taken or announced or self._is_heartbeat_due(settings):
            try:
                self._deliver(announced + taken, len(taken))
            except Exception:
                self.queue.drop("fault", len(taken))
                raise
        if not taken:
            self._resend(settings)
        return bool(len(self.queue)) or not self._is_ending

    def _pause(self, settings: Config) -> None:
        """Until there is something to do: a full batch, the time for a part of one, a heartbeat, a flush or the end."""
        if self._is_ending or len(self.queue) >= settings.batch_items:
            return
        flushed_to = self._flush_to
        if self.queue.settled_count < flushed_to and len(self.queue):
            return
        has_open = bool(self._asked(self.open_runs))
        self._wake.clear()
        if not len(self.queue):
            rest = SPOOL_SECONDS if settings.spool_folder else None
            self._wake.wait(min(settings.heartbeat_seconds, settings.send_seconds or 0.05) if has_open else rest)
            if self._is_ending or self.queue.settled_count < self._flush_to:
                return
            if len(self.queue):
                self._wake.clear()
                self._wake.wait(settings.send_seconds)

    def _prepare(self, settings: Config) -> None:
        if self._is_stale and self._transport is not None:
            self._transport.close()
            self._transport = None
        if self._transport is None:
            self._is_stale = False
            self._transport = Transport(settings.endpoint, settings.api_key)
        if settings.spool_folder and self._spool is None:
            try:
                self._spool = Spool(settings.spool_folder, bytes_max=settings.spool_bytes, lost=self.queue.count)
            except OSError as error:
                self._say("spool", "the spool folder cannot be used, so nothing is kept over a restart: %s", error)

    def _is_heartbeat_due(self, settings: Config) -> bool:
        is_time = time.monotonic() - self._told_at >= settings.heartbeat_seconds
        return not self._is_ending and not self._is_refused and is_time and bool(self._asked(self.open_runs))

    def _deliver(self, events: list[bytes], own: int) -> None:
        """``own`` of the events were put; the others are announcements, which nobody misses."""
        if self._is_refused and self._spool is None:
            self.queue.drop("unauthorized", own)
            return
        path = self._spooled(events) if events else None
        is_resting = path is not None and time.monotonic() < self._rest_until
        is_done = not self._is_refused and not is_resting and self._sent(events, has_spool=path is not None)
        if is_done and path is not None and self._spool is not None:
            self._spool.done(path)
        if is_done or path is not None:
            self.queue.settle(own)
        elif own:
            self.queue.drop("unauthorized" if self._is_refused else "unsent_at_exit", own)

    def _spooled(self, events: list[bytes]) -> Path | None:
        if self._spool is None:
            return None
        try:
            return self._spool.write(events)
        except OSError as error:
            self._say("spool", "the spool cannot be written: %s", error)
            return None

    def _resend(self, settings: Config) -> None:
        """What is on disk: of this process, and of those that died."""
        if self._spool is None or self._is_refused or time.monotonic() < self._rest_until:
            return
        if time.monotonic() - self._adopted_at >= ADOPT_SECONDS:
            self._adopted_at = time.monotonic()
            self._spool.adopt()
        for path in self._spool.waiting():
            if self._is_ending or len(self.queue) >= settings.batch_items:
                return
            events = self._spool.read(path)
            if not events:
                continue
            if not self._sent(events, has_spool=True):
                return
            self._spool.done(path)

    def _sent(self, events: list[bytes], *, has_spool: bool, is_part: bool = False) -> bool:
        """Whether they are answered for: stored, or given up for good. False: they may be sent again."""
        tries = 0
        while True:
            settings = config.current()
            if not settings.is_sending:
                return False
            self._prepare(settings)
            answer, dropped = self._post(settings, events)
            status = answer.status
            if 200 <= status < 300:
                self._heard(answer, dropped)
                return True
            if status in _WRONG:
                self._refused(settings, status)
                return False
            if len(events) > 1 and (status == 413 or (status in _SPOILT and not is_part)):
                half = len(events) // 2
                first = self._sent(events[:half], has_spool=has_spool, is_part=True)
                return self._sent(events[half:], has_spool=has_spool, is_part=True) and first
            if not events:
                return False  # a heartbeat: the next one is soon
            tries += 1
            if status not in _AGAIN and (status < 500 or tries >= SERVER_TRIES):
                self._give_up(len(events), status)
                return True
            if has_spool and status in _AGAIN:
                self._failures += 1
                self._rest_until = time.monotonic() + self._rest_seconds(self._failures, answer)
                return False
            if not self._wait_again(self._rest_seconds(tries, answer)):
                return False

    def _post(self, settings: Config, events: list[bytes]) -> tuple[Answer, dict[str, int]]:
        seconds = settings.timeout_seconds
        if self._deadline is not None:
            seconds = min(seconds, max(self._deadline - time.monotonic(), 0.05))
        assert self._transport is not None
        if settings.protocol == "otlp":
            body = otlp.request_of(events, service=settings.service, release=settings.release)
            return self._transport.post(otlp.PATH, body, seconds=seconds), {}
        dropped = self.queue.untold()
        head = {"open_runs": self._asked(self.open_runs)[:OPEN_RUNS_MAX], "dropped": dropped}
        told = ",".join(f'"{name}":{json.dumps(value)}' for name, value in head.items() if value)
        body = b'{"events":[' + b",".join(events) + b"]" + (f",{told}" if told else "").encode() + b"}"
        self._told_at = time.monotonic()
        return self._transport.post(PATH, body, seconds=seconds), dropped

    def _heard(self, answer: Answer, dropped: dict[str, int]) -> None:
        self._failures, self._rest_until = 0, 0.0
        self.queue.told(dropped)
        rejected = answer.body.get("rejected")
        if isinstance(rejected, list) and rejected:
            self.queue.count("rejected", len(rejected))
            self._say("rejected", "the server rejected %d events, the first: %s", len(rejected), rejected[0])
        control = answer.body.get("control")
        if isinstance(control, dict) and control:
            for tell in list(self.on_control):
                self._asked(partial(_told, tell, control))

    def _asked(self, question: Callable[[], Iterable[Any]]) -> list[Any]:
        """What others of this process say; nothing, when they fail."""
        try:
            return list(question())
        except Exception as error:
            self._say("fault", "the exporter failed: %s: %s", type(error).__name__, error)
            return []

    def _refused(self, settings: Config, status: int) -> None:
        self._is_refused = True
        words = "%s answered %d: the address or the key is wrong, so nothing is sent"
        self._say("refused", words, settings.endpoint, status)

    def _give_up(self, count: int, status: int) -> None:
        reason = "too_large" if status == 413 else "refused" if status < 500 else "server_error"
        self.queue.count(reason, count)
        self._say(reason, "%d events were given up: the server answered %d", count, status)

    def _rest_seconds(self, failures: int, answer: Answer) -> float:
        """From a failure to the next try."""
        if answer.error:
            self._say("away", "the server cannot be reached, trying again: %s", answer.error)
        seconds = random.uniform(0.1, min(BACKOFF_SECONDS * 2 ** min(failures - 1, 10), BACKOFF_MAX_SECONDS))
        return max(seconds, min(answer.retry_after or 0.0, RETRY_AFTER_MAX_SECONDS))

    def _wait_again(self, seconds: float) -> bool:
        """Whether there is time for another try; then it has been waited for. Another configuration is tried at once."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._is_stale:
            if self._deadline is not None and time.monotonic() + min(seconds, 0.3) >= self._deadline:
                return False
            time.sleep(min(0.05, max(until - time.monotonic(), 0)))
            if self._is_ending and self._deadline is not None:
                until = min(until, time.monotonic() + 0.2)
        return True

    def _say(self, about: str, words: str, *values: Any) -> None:
        """One line a minute for each cause."""
        now = time.monotonic()
        if now - self._logged.get(about, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._logged[about] = now
            log.warning(words, *values)


def _trace_nothing() -> None:
    """What this thread sends is no span of the host's OpenTelemetry, if it has one."""
    context: Any = sys.modules.get("opentelemetry.context")
    if context is not None:
        with contextlib.suppress(Exception):
            context.attach(context.set_value("suppress_instrumentation", True))


def _told(tell: Callable[[dict[str, Any]], None], control: dict[str, Any]) -> tuple[()]:
    tell(control)
    return ()
