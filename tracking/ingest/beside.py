"""What comes with a batch of our own events and is no span: states to keep, whose runs go on from which, and how much the
sender had to give up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tracking.checkpoints import store
from tracking.ingest.batch import Batch

_DROPPED = """
INSERT INTO tracking_drop AS d (team_id, day, reason, events)
SELECT team, (now() AT TIME ZONE 'UTC')::date, reason, events
FROM unnest(%(teams)s::bigint[], %(reasons)s::text[], %(counts)s::bigint[]) AS told(team, reason, events) ORDER BY 1, 3
ON CONFLICT (team_id, day, reason) DO UPDATE SET events = d.events + excluded.events
"""

_PARENTS = """
UPDATE tracking_run r SET parent_run_id = p.id
FROM unnest(%(teams)s::bigint[], %(runs)s::text[], %(parents)s::text[]) AS told(team, run, parent)
JOIN tracking_run p ON p.team_id = told.team AND p.external_id = told.parent
WHERE r.team_id = told.team AND r.external_id = told.run AND r.parent_run_id IS NULL AND r.id <> p.id
"""


@contextmanager
def together(connection: psycopg.Connection[Any], batches: Sequence[Batch]) -> Iterator[None]:
    """What is written within, and these, in one transaction; for most batches there is nothing beside."""
    checkpoints = [new for batch in batches for new in batch.checkpoints]
    dropped: Counter[tuple[int, str]] = Counter()
    for batch in batches:
        for reason, count in batch.dropped.items():
            dropped[batch.caller.team_id, reason] += count
    parents = [(batch.caller.team_id, *pair) for batch in batches for pair in batch.parents.items()]
    if not checkpoints and not dropped and not parents:
        yield
        return

    def execute(sql: str, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        return connection.execute(sql, parameters).fetchone()

    with connection.transaction():
        yield
        for new in sorted(checkpoints, key=lambda one: (one.team_id, one.run)):  # their order, whoever else saves
            store.insert(new, execute)
        if parents:
            teams, runs, named = zip(*sorted(parents), strict=True)
            connection.execute(_PARENTS, {"teams": list(teams), "runs": list(runs), "parents": list(named)})
        if dropped:
            told = sorted(dropped.items())
            parameters = {
                "teams": [team for (team, _), _ in told], "reasons": [reason for (_, reason), _ in told],
                "counts": [count for _, count in told],
            }  # fmt: skip
            connection.execute(_DROPPED, parameters)
