"""``python -m tests.tracking.queue.dying MOMENT FIRST LAST``: workers that die, one after another, each at another step.

MOMENT ``kept``: as soon as so many steps of the job are kept; ``asked``: once its next step is noted as begun, before it is made;
``answered``: once it is made, before it is kept. Each is a process of its own, forked from this one, and ends as a kill would end it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import django

DIED = 97


def main(moment: str, first: int, last: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wflo_site.settings")
    django.setup()
    import wflo_site.celery
    from tracking.queue import engine

    assert wflo_site.celery.app
    for place in range(first, last + 1):
        pid = os.fork()
        if pid == 0:
            _die_at(moment, place)
            made = engine.Engine()
            _take_all()
            made.start()
            assert made._thread is not None
            made._thread.join(60)
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == DIED, f"step {place}: {status}"


def _die_at(moment: str, place: int) -> None:
    from tracking.queue import steps

    begin, end = steps.begin, steps.end

    def dying_end(*arguments: Any) -> int:
        if moment == "answered" and arguments[0] and _position() == place - 1:
            os._exit(DIED)
        position = end(*arguments)
        if moment == "kept" and position >= place:
            os._exit(DIED)
        return position

    def dying_begin(*arguments: Any) -> int:
        tries = begin(*arguments)
        if moment == "asked" and _position() == place - 1:
            os._exit(DIED)
        return tries

    steps.begin, steps.end = dying_begin, dying_end


def _position() -> int:
    from tracking.models import AgentJob

    return AgentJob.objects.get(status="running").position


def _take_all() -> None:
    """What the last one left behind: its lease is over."""
    from django.db import connection

    from tracking.models import AgentJob
    from tracking.queue import claims

    AgentJob.objects.filter(status="running").update(lease_until="2000-01-01T00:00:00Z")
    claims.take_back_lost()
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
