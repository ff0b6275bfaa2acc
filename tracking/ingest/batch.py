"""What goes to the writer, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from tracking.checkpoints.new import NewCheckpoint
from wflo.spans import Rejected, Span


class Sender(Protocol):
    """Who sent it; ``tracking.keys.Caller`` is one."""

    @property
    def team_id(self) -> int: ...
    @property
    def key_id(self) -> str | None: ...
    @property
    def redaction(self) -> str: ...
    @property
    def spans_per_day_max(self) -> int | None: ...


class Standing(Protocol):
    """How a run stands; ``tracking.run_control.Control`` is one."""

    @property
    def run(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def kill_reason(self) -> str: ...
    @property
    def budget_remaining_usd(self) -> Decimal | None: ...
    @property
    def rollback(self) -> dict[str, Any] | None: ...
    @property
    def approvals(self) -> Mapping[str, Any]: ...


@dataclass(slots=True, kw_only=True)
class LogContents:
    """Log records that carry the contents of one span (OpenTelemetry's way without span events)."""

    trace_id: str
    span_id: str
    records: list[dict[str, Any]]  # {"span_id", "event_name", "body", "attributes", "time_ns"}


@dataclass(slots=True, kw_only=True)
class Batch:
    """One request's spans and log contents, normalised. ``received`` counts what the request held, good or bad."""

    caller: Sender
    spans: list[Span]
    received_ns: int
    received: int
    rejected: list[Rejected] = field(default_factory=list)
    logs: list[LogContents] = field(default_factory=list)
    origin: str = "otlp"
    checkpoints: list[NewCheckpoint] = field(default_factory=list)  # states, checked
    parents: dict[str, str] = field(default_factory=dict)  # run -> the run it goes on from, by their external ids
    open_runs: list[str] = field(default_factory=list)  # of which the sender wants to hear, by their external ids
    dropped: dict[str, int] = field(default_factory=dict)  # by the sender before it could send them, by reason
    hold: UUID | None = None  # of the gateway's call that the one span is of: its cost is in the ledger


@dataclass(slots=True)
class Receipt:
    """accepted: new or changed spans, now committed. known: the same as stored already. rejected: with reasons.

    ``is_over_quota``: the team had its spans for today; nothing of the batch was kept, and that is counted.
    """

    accepted: int = 0
    known: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    is_over_quota: bool = False
    controls: list[Standing] = field(default_factory=list)  # of the runs that somebody stopped or limits
