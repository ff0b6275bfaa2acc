"""PostgreSQL and Redis from wheels, kept in one data folder: start, stop, urls. Used by ``up``, the tests and the bench.

Both servers outlive whoever starts them: a second ``start`` takes over what runs, also after a kill.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wflo_site import embedded_postgres, embedded_valkey
from wflo_site.stack_home import StackError, first, locked, opened, recall, remember, said

__all__ = ["Stack", "StackError", "start", "stop"]


@dataclass(frozen=True, slots=True)
class Stack:
    """``pids`` by name (postgres, valkey): of those that were asked for.

    ``tables``: PostgreSQL's folder; inside ``home``, unless its user cannot get there (see embedded_postgres).
    """

    home: Path
    tables: Path
    database_url: str
    redis_url: str
    pids: dict[str, int]


def start(home: Path, *, postgres: bool = True, valkey: bool = True) -> Stack:
    """Both servers, or the one asked for, ready to answer when this returns; takes over what already runs.

    Raises StackError, one sentence that says what to do: folder, disk, port, programs, user.
    """
    home = opened(home)
    try:
        with locked(home):
            memory = recall(home)
            if memory is None:
                memory = first(home)
                remember(home, memory)
            pids: dict[str, int] = {}
            if postgres:
                pids["postgres"] = embedded_postgres.start(home, memory)
                remember(home, memory)
            if valkey:
                pids["valkey"] = embedded_valkey.start(home, memory)
                remember(home, memory)
    except OSError as error:
        raise StackError(said(error, home)) from error
    return Stack(
        home, Path(memory.postgres_folder or home), embedded_postgres.url(memory), embedded_valkey.url(memory), pids
    )


def stop(home: Path) -> None:
    """Stops what runs in this folder; nothing when nothing does."""
    home = home.expanduser().absolute()
    if not home.is_dir():
        return
    with locked(home):
        memory = recall(home)
        if memory is not None:
            embedded_valkey.stop(home)
            embedded_postgres.stop(memory)
