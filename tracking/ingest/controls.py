"""What a sender of our own events is told of its runs: stopped or not, what is left to spend. One look a commit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from tracking import run_control
from tracking.ingest.batch import Batch, Receipt
from tracking.sql import statements

OUR_OWN = "sdk"

log = logging.getLogger(__name__)


def tell(connection: psycopg.Connection[Any], batches: Sequence[Batch], receipts: Sequence[Receipt]) -> None:
    """After the commit, and never a reason to fail: what cannot be told now is told with the next batch."""
    named = [_runs(batch) for batch in batches]
    wanted = sorted(set().union(*named))
    if not wanted:
        return
    parameters = run_control.controls_of([team for team, _ in wanted], [run for _, run in wanted])
    try:
        rows = connection.execute(statements("run_control")["controls"], parameters).fetchall()
    except psycopg.Error:
        log.warning("senders are not told how their runs stand", exc_info=True)
        return
    now = datetime.now(UTC)
    found = {(row[0], row[1]): run_control.of_row(row[1:], now) for row in rows}
    for runs, receipt in zip(named, receipts, strict=True):
        receipt.controls = [found[run] for run in sorted(runs) if run in found]


def _runs(batch: Batch) -> set[tuple[int, str]]:
    if batch.origin != OUR_OWN:
        return set()
    named = {span.run_id for span in batch.spans if span.run_id} | set(batch.open_runs)
    return {(batch.caller.team_id, run) for run in named}
