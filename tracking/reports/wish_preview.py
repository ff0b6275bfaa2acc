"""What going back to a checkpoint means for a run that another process drives: what came before it and after it, as far as it was told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tracking.checkpoints import store
from tracking.errors import NotFound
from tracking.models import Checkpoint, RunControl, Team
from tracking.reports.run import find_run
from tracking.reports.run_steps import Spent, parted, spent
from tracking.reports.runs import RunRow
from wflo.spans import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class WishPreview:
    """``row`` None: nobody told of the run itself. ``tools``: called after the checkpoint, and how often; which of them changed the
    world is not known here. ``heard_at``: of its process, last."""

    run: str
    row: RunRow | None
    checkpoint: Checkpoint
    superseded: int  # checkpoints that would be
    reused: Spent
    later: Spent
    tools: tuple[tuple[str, int], ...]
    heard_at: datetime | None

    @property
    def reused_usd(self) -> Decimal | None:
        return _whole(self.reused)

    @property
    def later_usd(self) -> Decimal | None:
        return _whole(self.later)


def wish_preview(team: Team, run: str, checkpoint: str) -> WishPreview:
    """``run``: its own name. Raises NotFound."""
    to = store.find(team, run, checkpoint)
    try:
        row = find_run(team.pk, run).run
    except NotFound:
        row = None
    before, after = parted(team.pk, row, to) if row is not None else ([], [])
    tools = Counter(step.span.tool_name or step.span.name for step in after if step.span.kind is Kind.TOOL)
    control = RunControl.objects.filter(team=team, run=run).first()
    heard = [at for at in (control and control.last_at, row and row.last_seen_at) if at]
    return WishPreview(
        run=run, row=row, checkpoint=to, superseded=store.count_later(to), reused=spent(before), later=spent(after),
        tools=tuple(tools.most_common()), heard_at=max(heard, default=None),
    )  # fmt: skip


def _whole(found: Spent) -> Decimal | None:
    """None: not all of it is known."""
    return None if found.unpriced_calls else found.cost_usd
