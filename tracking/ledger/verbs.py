"""The ledger's verbs, each one statement. ``perform`` does them; ids are made by the caller, so each may be sent twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid5

import orjson

from tracking.ledger.calls import Actual, Answer, Call, Ceiling, Charge
from tracking.sql import statements

T = TypeVar("T")


class Commit(Enum):
    """When a statement's commit is on the disk, if it is a transaction of its own. No budget waits for a disk.

    The log keeps its order: what is on the disk has all before it there too. So a hold may be LATER, for the dispatch
    behind it is FIRST: a call that goes out has its hold on the disk, and a hold that a crash took is no longer there
    to be dispatched.
    """

    FIRST = auto()  # before others see it
    AFTER = auto()  # others go on at once, its caller waits
    LATER = auto()  # with the next commit that is waited for, or in less than a second


@dataclass(frozen=True, slots=True)
class Statement(Generic[T]):
    """One statement and how its rows are read.

    ``commit`` other than FIRST is for a text with ``ledger_commit(%(commit)s)``; ``perform`` fills that in.
    """

    sql: str
    parameters: dict[str, Any]
    read: Callable[[list[tuple[Any, ...]]], T]
    commit: Commit = Commit.FIRST


def reserve(
    call: Call, ceiling: Ceiling, *, id: UUID, lease_ms: int, detail: dict[str, Any] | None = None
) -> Statement[Answer]:
    """Hold a call's ceiling on all its budgets, or on none. Outcomes: held, exists, closed, refused, unpriced."""
    return _answer("reserve", {
        "team": call.team_id, "id": id, "call": _json(call.columns()), "base_usd": ceiling.base_usd,
        "output_usd": ceiling.output_usd, "base_tokens": ceiling.base_tokens, "choices": ceiling.choices,
        "wanted": ceiling.wanted, "floor": ceiling.floor, "slice": ceiling.slice, "lease_ms": lease_ms,
        "detail": _json(detail or {}),
    }, Commit.LATER)  # fmt: skip


def attempt_id(id: UUID, attempt: int) -> UUID:
    """The id of another attempt of the same call: each holds money of its own."""
    return uuid5(id, f"attempt {attempt}")


def dispatch(team_ids: Sequence[int], ids: Sequence[UUID]) -> Statement[set[UUID]]:
    """Calls go out now: from here on their holds are spent if nobody says what they cost. Those whose hold is there: no
    other may go out."""
    parameters = {"teams": list(team_ids), "ids": list(ids)}
    return Statement(statements("ledger")["dispatch"], parameters, _ids)


def extend(team_id: int, id: UUID, *, usd: Any, tokens: int, lease_ms: int) -> Statement[Answer]:
    """Let a hold grow. Outcomes: held, refused, gone."""
    return _answer("extend", {"team": team_id, "id": id, "usd": usd, "tokens": tokens, "lease_ms": lease_ms})


def renew(team_ids: Sequence[int], ids: Sequence[UUID], *, lease_ms: int) -> Statement[set[UUID]]:
    """Lengthen the leases of calls that live; those whose hold is still there."""
    parameters = {"teams": list(team_ids), "ids": list(ids), "lease_ms": lease_ms}
    return Statement(statements("ledger")["renew"], parameters, _ids)


def settle(team_id: int, id: UUID, actual: Actual) -> Statement[Answer]:
    """What the call cost. Outcomes: settled, corrected, charged, already, gone."""
    return _answer("settle", {
        "team": team_id, "id": id, "usd": actual.usd, "tokens": actual.tokens, "is_estimated": actual.is_estimated,
        "detail": _json(actual.detail),
    })  # fmt: skip


def release(team_id: int, id: UUID) -> Statement[Answer]:
    """Nothing was spent. Outcomes: released, already, gone."""
    return _answer("release", {"team": team_id, "id": id})


def expire() -> Statement[tuple[int, UUID, str] | None]:
    """Close one hold whose lease ran out: (team, id, "released", "expired" or "stuck"); None when there is none."""
    return Statement(statements("ledger")["expire"], {"commit": None}, _first, Commit.LATER)


def charge(team_id: int, charges: Sequence[Charge], *, actor: str = "") -> Statement[int]:
    """Costs nobody held money for, all or none; how many entries they made (a call under no budget makes none)."""
    parameters = {"team": team_id, "charges": _json([c.columns() for c in charges]), "actor": actor, "commit": None}
    return Statement(statements("ledger")["charge"], parameters, lambda rows: int(rows[0][0]), Commit.AFTER)


def _answer(name: str, parameters: dict[str, Any], commit: Commit = Commit.AFTER) -> Statement[Answer]:
    parameters = {**parameters, "commit": None}
    return Statement(statements("ledger")[name], parameters, lambda rows: Answer.from_row(rows[0]), commit)


def _ids(rows: list[tuple[Any, ...]]) -> set[UUID]:
    return {row[0] for row in rows}


def _first(rows: list[tuple[Any, ...]]) -> tuple[int, UUID, str] | None:
    return rows[0] if rows else None


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
