"""NewCheckpoint: a state on its way to be saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4


@dataclass(slots=True, kw_only=True)
class NewCheckpoint:
    """``state`` is any JSON, ``redaction`` the team's policy; ``size_bytes`` is known once it was checked."""

    team_id: int
    run: str
    state: Any
    redaction: str
    id: UUID = field(default_factory=uuid4)
    name: str = ""
    agent: str = ""
    step: str = ""
    span_id: str = ""
    source: str = "sdk"  # as Checkpoint.Source has them
    lossy_paths: list[str] = field(default_factory=list)
    size_bytes: int = 0
