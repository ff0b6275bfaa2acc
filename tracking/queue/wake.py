"""Telling workers that there is something to do. Only a hint: they look by themselves every few seconds, whatever is lost."""

from __future__ import annotations

import logging
import queue
import threading

from celery import current_app
from django.db import transaction

log = logging.getLogger("wflo.queue")

TASK = "tracking.tasks.look_for_jobs"

_hints: queue.Queue[None] = queue.Queue(maxsize=1)
_thread: threading.Thread | None = None
_lock = threading.Lock()


def soon() -> None:
    """When this transaction is committed. Never waits for the broker, and never fails."""
    transaction.on_commit(_hint)


def _hint() -> None:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_send, name="wflo-job-hints", daemon=True)
            _thread.start()
    try:
        _hints.put_nowait(None)  # one that waits says it all
    except queue.Full:
        pass


def _send() -> None:
    while True:
        _hints.get()
        try:
            current_app.send_task(TASK, expires=10, retry=False, ignore_result=True)
        except Exception as error:  # whatever the broker's client raises while it is away
            log.info("workers could not be told of a job: %s", error)
