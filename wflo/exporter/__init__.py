"""Events on their way to the server: queued here, sent by a thread of this process. Never blocks, never raises.

    put -> Queue -> Sender's thread -> (Spool) -> Transport -> POST /api/v1/ingest

The thread starts with the first event. A process that forks has a child with an empty queue and a thread of its own. When
the process ends, what is queued is sent within ``exit_seconds``, else kept in the spool, else counted.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from wflo import config
from wflo.exporter.sender import Sender

__all__ = ["announce", "dropped", "flush", "listen", "put", "shutdown"]

_sender = Sender()
_is_guarded = False  # the end of the process is watched for


def put(event: bytes) -> None:
    """One event: JSON, redacted. Nothing happens where nothing is sent."""
    try:
        if _sender.put(event):
            _guard()
    except Exception:  # recording logs what fails before; here the host's call is all that counts
        _sender.queue.count("fault")


def flush(seconds: float | None = None) -> bool:
    """Wait until all that was put so far is answered for, or ``seconds`` (those of the configuration's exit) are over."""
    return _sender.flush(config.current().exit_seconds if seconds is None else seconds)


def shutdown(seconds: float | None = None) -> None:
    """Flush, and end the thread. Later events start another."""
    _sender.shutdown(config.current().exit_seconds if seconds is None else seconds)


def dropped() -> dict[str, int]:
    """Events that were given up since the process began, by reason."""
    return _sender.queue.dropped()


def listen(on_control: Callable[[dict[str, Any]], None]) -> None:
    """Have ``on_control`` called, in the exporter's thread, with the control block of each answer."""
    _sender.on_control.append(on_control)


def announce(open_events: Callable[[], Iterable[bytes]], open_runs: Callable[[], list[str]]) -> None:
    """Who says, before each batch, what has begun and was not told yet, and which runs are open."""
    _sender.open_events, _sender.open_runs = open_events, open_runs


# --- the end of a process, and its children ---------------------------------------------------------------------------------


def _guard() -> None:
    """A thread was started in this process: have the end of the process send what is left."""
    global _is_guarded
    if _is_guarded:
        return
    _is_guarded = True
    atexit.register(shutdown)
    for name in ("multiprocessing.util", "billiard.util"):  # their children end without atexit
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "Finalize"):
            module.Finalize(None, shutdown, exitpriority=10)
    if threading.current_thread() is threading.main_thread():
        with contextlib.suppress(ValueError, OSError):
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: FrameType | None) -> None:
    """SIGTERM as it is by default, after what is queued was sent. A host's own handler takes this one's place."""
    shutdown()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _in_child() -> None:
    global _is_guarded
    _is_guarded = False
    _sender.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
config.on_change(lambda _: _sender.reconfigured())
