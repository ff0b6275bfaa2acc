"""What was used in a budget's present window before there was a budget, from the usage rows.

Asked under the lock that no writer of the teams holds at the same time (``join_alone``), so a call is either in the usage
by now and opened here, or it finds the budget and is charged to it. Usage is kept by the hour, UTC; of a window that
begins within an hour (half the world's midnights do not) that hour's spans are summed themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from tracking.ledger.terms import Scope
from tracking.models import Budget
from tracking.moments import EARLIEST, LATEST
from tracking.sql import statements
from tracking.usage.query import usage_rows

HOUR = timedelta(hours=1)
ZERO = Decimal(0)

# Scopes by which usage is kept, with the column's name there; the whole of a team has none.
WORDS: dict[str, str] = {
    Budget.Scope.KEY: "key",
    Budget.Scope.AGENT: "agent",
    Budget.Scope.MODEL: "model",
    Budget.Scope.USER: "user",
}
_COLUMNS = {"key": "key_id", "agent": "agent", "model": "model", "user": "user_id"}
WHOLES = (Budget.Scope.ORGANIZATION, Budget.Scope.TEAM)


@dataclass(frozen=True, slots=True)
class Used:
    """What one subject used. Calls without a known price are in ``tokens`` alone."""

    subject: str
    usd: Decimal
    tokens: int
    unpriced_calls: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.subject, self.usd + other.usd, self.tokens + other.tokens, self.unpriced_calls + other.unpriced_calls
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """``used`` by subject, dearest first; ``why_not``: why nothing is known, where that is so."""

    used: tuple[Used, ...] = ()
    left_out: int = 0  # subjects beyond LIMITS["budget_subjects_opened"], which begin at 0
    why_not: str = ""

    def without(self, subjects: Collection[str]) -> Opening:
        return replace(self, used=tuple(one for one in self.used if one.subject not in subjects))

    @property
    def usd(self) -> Decimal:
        return sum((one.usd for one in self.used), ZERO)

    @property
    def tokens(self) -> int:
        return sum(one.tokens for one in self.used)

    @property
    def unpriced_calls(self) -> int:
        return sum(one.unpriced_calls for one in self.used)


def opening(team_ids: Sequence[int], scope: Scope, start: datetime | None, end: datetime | None) -> Opening:
    """``start`` and ``end``: the present window; None: since ever, for ever. Reads only."""
    if scope.kind == Budget.Scope.RUN and scope.id:
        return _limited([_of_run(team_ids[0], scope.id, start)])
    if scope.window == Budget.Window.RUN:
        return Opening(why_not="what runs under way had used is not known by run")
    if scope.kind in (Budget.Scope.RUN, Budget.Scope.JOB):
        return Opening(why_not=f"usage is not kept by {scope.kind}")
    return _limited(_of_usage(team_ids, scope, start or EARLIEST, end or LATEST))


def _limited(used: Iterable[Used]) -> Opening:
    found = sorted((one for one in used if one.usd or one.tokens), key=lambda one: (-one.usd, -one.tokens, one.subject))
    most = settings.LIMITS["budget_subjects_opened"]
    return Opening(tuple(found[:most]), max(0, len(found) - most))


def _of_usage(team_ids: Sequence[int], scope: Scope, start: datetime, end: datetime) -> Iterable[Used]:
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first = first if first == start else first + HOUR
    word = WORDS.get(scope.kind)
    rows = usage_rows(
        team_ids,
        start=first,
        end=end,
        group_by=(word,) if word else (),
        filters={word: [scope.id]} if word and scope.id else {},
    )
    sums: dict[str, Used] = {}
    for row in rows:
        subject = str(row.key[word] or "") if word else ""
        tokens = row.total_tokens + row.embedding_tokens
        _add(sums, Used(subject, row.cost_usd or ZERO, tokens, row.unpriced_calls))
    if first != start:
        for used in _of_spans(team_ids, word, scope.id, start, first):
            _add(sums, used)
    if word:
        sums.pop("", None)  # nobody's: no budget of one is charged with it
    return sums.values()


def _add(sums: dict[str, Used], used: Used) -> None:
    sums[used.subject] = sums[used.subject] + used if used.subject in sums else used


def _of_spans(team_ids: Sequence[int], word: str | None, id: str, start: datetime, end: datetime) -> list[Used]:
    subject = _COLUMNS[word] if word else "''"
    sql = (
        f"SELECT {subject}, coalesce(sum(cost_usd), 0),"
        " coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0) + coalesce(embedding_tokens, 0)), 0)::bigint,"
        f" coalesce(sum(unpriced_calls), 0) FROM ({statements('usage')['spans_as_usage']}) AS s"
        f" WHERE %(id)s = '' OR {subject} = %(id)s GROUP BY 1"
    )
    parameters: dict[str, Any] = {"teams": list(team_ids), "start": start, "end": end, "id": id}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [Used(*row) for row in cursor.fetchall()]


def _of_run(team_id: int, run: str, since: datetime | None) -> Used:
    try:
        trace = UUID(hex=run)
    except ValueError:
        trace = None
    parameters: dict[str, Any] = {"team": team_id, "run": run, "trace": trace, "since": since}
    with connection.cursor() as cursor:
        cursor.execute(statements("budgets")["run_used"], parameters)
        usd, tokens, unpriced = cursor.fetchone()
    return Used(run, usd, int(tokens), unpriced)
