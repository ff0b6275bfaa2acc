"""The chain over the entries: whole when nobody touched them, and broken where somebody did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils.timezone import now

from tests.make import make_team
from tests.tracking.ledger.conftest import make_budget
from tracking import invariants
from tracking.ledger.calls import Call, Charge
from tracking.ledger.perform import perform
from tracking.ledger.seal import Break, seal, verify
from tracking.ledger.verbs import charge
from tracking.models import LedgerEntry, Team

pytestmark = pytest.mark.django_db


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def spend(team: Team, *usd: str) -> list[int]:
    """Their ids."""
    before = set(LedgerEntry.objects.values_list("id", flat=True))
    call = Call(team_id=team.pk, user='a "user"\n', models=("m",))
    perform(charge(team.pk, [Charge(call=call, at=now(), usd=D(one), tokens=3) for one in usd]))
    return sorted(set(LedgerEntry.objects.values_list("id", flat=True)) - before)


@contextmanager
def by_force(*tables: str) -> Iterator[None]:
    """As someone with all rights over the database, past its triggers."""
    for table in tables:
        rows(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    for table in tables:
        rows(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.fixture
def ids(team: Team) -> list[int]:
    """Five entries of a team, sealed."""
    make_budget(team, "100")
    made = spend(team, "1", "0.0000000001", "-0.5", "2", "3")
    assert seal(100) == 5
    return made


def chain(team: Team) -> list[tuple[int, int]]:
    return rows("SELECT number, entry_id FROM tracking_ledger_seal WHERE team_id = %s ORDER BY number", team.pk)


def test_every_entry_is_sealed_once_in_its_order(team: Team, ids: list[int]) -> None:
    assert chain(team) == list(enumerate(ids, 1))
    assert seal(100) == 0
    more = spend(team, "4", "5")
    assert [seal(1), seal(1), seal(1)] == [1, 1, 0]
    assert chain(team) == list(enumerate([*ids, *more], 1))
    assert verify(team) is None
    assert invariants_of_the_ledger() == {}


def test_an_entry_committed_late_comes_later_in_the_chain(team: Team, ids: list[int]) -> None:
    early, late = spend(team, "4", "5")
    rows("DELETE FROM tracking_ledger_unsealed WHERE entry_id = %s", early)  # as if not committed yet
    seal(100)
    rows("INSERT INTO tracking_ledger_unsealed VALUES (%s, %s)", team.pk, early)
    seal(100)
    assert [entry for _, entry in chain(team)] == [*ids, late, early]
    assert verify(team) is None


def test_each_team_has_a_chain_of_its_own(team: Team, ids: list[int]) -> None:
    others = [make_team(name) for name in ("B", "C")]
    made = {}
    for other in others:
        make_budget(other, "5")
        made[other.pk] = spend(other, "1", "1")
    seal(100)
    assert {other.pk: [entry for _, entry in chain(other)] for other in others} == made
    assert [verify(other) for other in (team, *others)] == [None] * 3


def test_the_seals_can_be_worked_out_from_the_entries_elsewhere(team: Team, ids: list[int]) -> None:
    """The contents are JSON anybody can write down: amounts with all their digits as texts, moments in UTC."""
    before = bytes(32)
    found = rows(
        "SELECT s.hash, e.id, e.at, e.usd::text, e.tokens, e.starts, e.budgets, e.detail::text FROM tracking_ledger_seal s"
        " JOIN tracking_ledger_entry e ON e.id = s.entry_id WHERE s.team_id = %s ORDER BY s.number", team.pk,
    )  # fmt: skip
    for hash, id, at, usd, tokens, starts, budgets, detail in found:
        moments = [f"{one:%Y-%m-%dT%H:%M:%S.%fZ}" for one in (at, *starts)]
        contents = [
            team.pk, id, moments[0], "charge", None, usd, tokens, "", "", "", "m", 'a "user"\n', False, [team.pk],
            [str(one) for one in budgets], [""], moments[1:], "", "", json.loads(detail),
        ]  # fmt: skip
        before = hashlib.sha256(before + json.dumps(contents, ensure_ascii=False).encode()).digest()
        assert bytes(hash) == before
    assert [usd for _, _, _, usd, *_ in found][1] == "0.0000000001"


TAMPERED = {
    "an amount": "UPDATE tracking_ledger_entry SET usd = usd + 0.0000000001 WHERE id = %(third)s",
    "whose": "UPDATE tracking_ledger_entry SET end_user = 'another' WHERE id = %(third)s",
    "which budget": "UPDATE tracking_ledger_entry SET budgets = ARRAY[gen_random_uuid()] WHERE id = %(third)s",
    "when": "UPDATE tracking_ledger_entry SET at = at - interval '1 microsecond' WHERE id = %(third)s",
    "detail": """UPDATE tracking_ledger_entry SET detail = detail || '{"rate": 1}' WHERE id = %(third)s""",
    "the hash": "UPDATE tracking_ledger_seal SET hash = sha256('x') WHERE entry_id = %(third)s",
}


@pytest.mark.parametrize("what", list(TAMPERED))
def test_a_changed_entry_breaks_the_chain_where_it_is(team: Team, ids: list[int], what: str) -> None:
    with by_force("tracking_ledger_entry", "tracking_ledger_seal"), connection.cursor() as cursor:
        cursor.execute(TAMPERED[what], {"third": ids[2]})
        assert cursor.rowcount == 1
    assert verify(team) == Break("changed", ids[2], 3)
    assert "v11_chains_are_whole" in invariants_of_the_ledger()


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_missing_entry_is_found(team: Team, ids: list[int], place: int) -> None:
    with by_force("tracking_ledger_entry"):
        rows("DELETE FROM tracking_ledger_entry WHERE id = %s", ids[place])
    assert verify(team) == Break("missing", ids[place], place + 1)
    assert "v11_chains_are_whole" in invariants_of_the_ledger()


def test_an_entry_taken_out_with_its_seal_is_found(team: Team, ids: list[int]) -> None:
    with by_force("tracking_ledger_entry", "tracking_ledger_seal"):
        rows("DELETE FROM tracking_ledger_entry WHERE id = %s", ids[1])
        rows("DELETE FROM tracking_ledger_seal WHERE entry_id = %s", ids[1])
    assert verify(team) == Break("missing", ids[2], 3)


def test_an_entry_taken_out_and_the_chain_renumbered_is_found(team: Team, ids: list[int]) -> None:
    with by_force("tracking_ledger_entry", "tracking_ledger_seal"):
        rows("DELETE FROM tracking_ledger_entry WHERE id = %s", ids[1])
        rows("DELETE FROM tracking_ledger_seal WHERE entry_id = %s", ids[1])
        rows("UPDATE tracking_ledger_seal SET number = number - 1 WHERE number = 3")
        rows("UPDATE tracking_ledger_seal SET number = number - 1 WHERE number = 4")
        rows("UPDATE tracking_ledger_seal SET number = number - 1 WHERE number = 5")
    assert verify(team) == Break("changed", ids[2], 2)


def test_an_entry_slipped_in_past_the_triggers_is_found(team: Team, ids: list[int]) -> None:
    with by_force("tracking_ledger_entry"):
        made = rows(
            "INSERT INTO tracking_ledger_entry (team_id, kind, usd, tokens, teams, budgets, subjects, starts)"
            " VALUES (%s, 'adjustment', -1, 0, '{}', '{}', '{}', '{}') RETURNING id", team.pk,
        )  # fmt: skip
    assert seal(100) == 0
    assert verify(team) == Break("inserted", made[0][0], None)


def test_an_entry_gone_before_it_was_sealed_is_found(team: Team, ids: list[int]) -> None:
    (id,) = spend(team, "1")
    with by_force("tracking_ledger_entry"):
        rows("DELETE FROM tracking_ledger_entry WHERE id = %s", id)
    assert seal(100) == 0
    assert verify(team) == Break("missing", id, None)


def test_a_long_chain_is_verified_in_parts(team: Team, ids: list[int], settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "seals_verified_at_once": 2}
    assert verify(team) is None
    for place in (2, 3, 4):  # the last of a part, the first of the next
        with by_force("tracking_ledger_entry"):
            rows("UPDATE tracking_ledger_entry SET reason = 'x' WHERE id = %s", ids[place])
        assert verify(team) == Break("changed", ids[place], place + 1)
        with by_force("tracking_ledger_entry"):
            rows("UPDATE tracking_ledger_entry SET reason = '' WHERE id = %s", ids[place])


def test_seals_and_entries_are_never_changed(team: Team, ids: list[int]) -> None:
    for sql in (
        "UPDATE tracking_ledger_seal SET number = 9",
        "DELETE FROM tracking_ledger_seal",
        "DELETE FROM tracking_ledger_entry",
    ):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            rows(sql)


def invariants_of_the_ledger() -> dict[str, Any]:
    """Those that are broken, looked at within the test's transaction."""
    found = {}
    with connection.cursor() as cursor:
        for name, sql in invariants.statements("invariants").items():
            if "ledger" in name or name.startswith(("v1_", "v2_", "v3_", "v4_", "v11_")):
                cursor.execute(sql, {"team": None})
                found[name] = cursor.fetchall()
    return {name: broken for name, broken in found.items() if broken}
