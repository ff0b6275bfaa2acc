"""The checkpoints of a run that this process keeps."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from wflo.errors import CheckpointError
from wflo.plain import to_json
from wflo.states import decode, encode

log = logging.getLogger("wflo")

WARN_BYTES = 256 * 2**10
BYTES_MAX = 2 * 2**20  # of one state, as JSON
KEPT_MAX = 1_000  # of a run, in this process; the oldest go first


@dataclass(slots=True)
class Checkpoint:
    """One saved state. ``version`` rises by one in its run; ``is_superseded``: the run went back behind it."""

    name: str
    version: int
    state: Any = field(repr=False)  # encoded: see ``wflo.states``
    id: str = field(default_factory=lambda: str(uuid4()))
    agent: str = ""
    at: float = field(default_factory=time.time)
    size_bytes: int = 0
    lossy_paths: list[str] = field(default_factory=list)
    is_superseded: bool = False

    def restored(self) -> Any:
        """The state, as it was saved."""
        return decode(self.state)

    def told(self) -> dict[str, Any]:
        """``id, name, version, timestamp, agent, size_bytes, lossy_paths, superseded``."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "timestamp": datetime.fromtimestamp(self.at, UTC).isoformat(),
            "agent": self.agent,
            "size_bytes": self.size_bytes,
            "lossy_paths": list(self.lossy_paths),
            "superseded": self.is_superseded,
        }


class Shelf:
    """The checkpoints of one run, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Checkpoint] = []
        self._version = 0

    def add(self, name: str, value: Any, *, agent: str = "") -> Checkpoint:
        """Raises CheckpointError for a state that is too large, or that goes round in circles."""
        found = encode(value)
        size = len(to_json(found.value).encode("utf-8", "replace"))
        if size > BYTES_MAX:
            raise CheckpointError(
                f'The state of "{name}" has {size:,} bytes, more than the {BYTES_MAX:,} a checkpoint may have. Save less of it.'
            )
        if size > WARN_BYTES:
            log.warning(
                'The checkpoint "%s" has %s bytes; above %s it is refused.', name, f"{size:,}", f"{BYTES_MAX:,}"
            )
        with self._lock:
            self._version += 1
            made = Checkpoint(
                name, self._version, found.value, agent=agent, size_bytes=size, lossy_paths=found.lossy_paths
            )
            self._kept.append(made)
            del self._kept[:-KEPT_MAX]
        return made

    def all(self) -> list[Checkpoint]:
        """The oldest first."""
        with self._lock:
            return list(self._kept)

    def latest(self, name: str | None = None) -> Checkpoint | None:
        """The newest that was not superseded, of that name if one is given."""
        with self._lock:
            return next(
                (one for one in reversed(self._kept) if not one.is_superseded and name in (None, one.name)), None
            )

    def version(self, version: int) -> Checkpoint | None:
        with self._lock:
            return next((one for one in self._kept if one.version == version), None)

    def roll_back(self, to: Checkpoint) -> None:
        """Supersede all that came after it."""
        with self._lock:
            for one in self._kept:
                if one.version > to.version:
                    one.is_superseded = True
