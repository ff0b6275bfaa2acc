"""Answers under way whose run is stopped end: one look a process and second, however many there are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracking.errors import Unavailable
from tracking.gateway import pool
from tracking.gateway.asked import Asked
from tracking.ledger.verbs import Statement
from tracking.sql import statements

LOOK_EVERY_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Watched:
    """A stream under way. ``stop`` is called once, with the reason its run was stopped for."""

    asked: Asked
    stop: Callable[[str], None]

    @property
    def runs(self) -> set[tuple[int, str]]:
        asked = self.asked
        return {(asked.caller.team_id, name) for name in (asked.root, asked.run, asked.trace_id)}


_live: set[Watched] = set()
_looking: asyncio.Task[None] | None = None


def watch(asked: Asked, stop: Callable[[str], None]) -> Watched:
    """Until ``forget``."""
    global _looking
    watched = Watched(asked, stop)
    _live.add(watched)
    if _looking is None or _looking.done():
        _looking = asyncio.get_running_loop().create_task(_look())
    return watched


def forget(watched: Watched) -> None:
    _live.discard(watched)


async def _look() -> None:
    """As long as there is anything to look for."""
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        if not _live:
            return
        try:
            killed = await _killed({run for watched in _live for run in watched.runs})
        except Unavailable:
            log.warning("nobody can say which runs were stopped; it is asked again")
            continue
        for watched in list(_live):
            reasons = [killed[run] for run in watched.runs if run in killed]
            if reasons:
                forget(watched)
                watched.stop(reasons[0])


async def _killed(runs: set[tuple[int, str]]) -> dict[tuple[int, str], str]:
    parameters = {"teams": [team for team, _ in runs], "runs": [name for _, name in runs]}
    rows: list[Any] = await pool.do(Statement(statements("run_control")["killed"], parameters, list))
    return {(team, run): reason for team, run, reason in rows}
