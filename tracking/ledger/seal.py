"""The chain of hashes over a team's entries: who changes, removes or slips in an entry breaks it.

Each seal is the SHA-256 of the seal before it (of 32 zero bytes for the first) and of its entry's contents, a JSON array
that ``ledger_contents`` in tracking/sql/ledger_seal.sql writes down. Sealing is behind the calls: entries wait for it in a
table of their own, and one that is committed late comes later in the chain. Entries cut off the chain's end with their
seals are found by the reconciler, for they are missing from what was spent.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from tracking.models import Team
from tracking.sql import statements


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a chain does not hold. ``what``: changed, missing or inserted; ``number`` None: no seal."""

    what: str
    entry_id: int
    number: int | None


def seal(limit: int) -> int:
    """Seal entries that wait, at most about ``limit``; how many. Others may seal at the same time."""
    at_once = min(limit, settings.LIMITS["entries_sealed_per_commit"])
    sealed = 0
    with connection.cursor() as cursor:
        cursor.execute(statements("ledger")["unsealed"])
        for (team_id,) in cursor.fetchall():
            while sealed < limit:
                cursor.execute(statements("ledger")["seal"], {"team": team_id, "limit": at_once})
                done: int = cursor.fetchone()[0]
                sealed += done
                if done < at_once:
                    break
    return sealed


def verify(team: Team | int) -> Break | None:
    """The first break of a team's chain; None when it is whole. ``team``: also the id of one that is no more."""
    team_id = team if isinstance(team, int) else team.pk
    step = settings.LIMITS["seals_verified_at_once"]
    after, is_more = 0, True
    with connection.cursor() as cursor:
        while is_more:
            part = {"team": team_id, "after": after, "upto": after + step}
            cursor.execute(statements("reconcile")["chain_break"], part)
            row = cursor.fetchone()
            if row is not None:
                return Break(*row)
            cursor.execute(statements("reconcile")["chain_goes_on"], part)
            is_more = bool(cursor.fetchone()[0])
            after += step
        cursor.execute(statements("reconcile")["unchained"], {"team": team_id})
        row = cursor.fetchone()
    return Break(*row) if row is not None else None
