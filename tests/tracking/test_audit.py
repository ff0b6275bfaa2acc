from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from tests.make import make_key, make_team
from tracking import audit, teams
from tracking.audit import SYSTEM, Actor, SecretInAudit
from tracking.keys import caller_for
from tracking.models import AuditEntry, Team, User


def _as_the_databases_owner(sql: str, *values: object) -> None:
    """Change entries behind the trigger's back, as someone with the database's password could."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql, values)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_an_entry_says_who_did_what_to_which_and_in_which_request(team: Team, alice: User) -> None:
    audit.record(
        Actor.of(alice, request_id="abc"),
        team,
        "price.set",
        "price",
        "gpt-4o",
        before={"input": "1"},
        after={"input": "2"},
    )
    entry = AuditEntry.objects.filter(team=team).latest("id")
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("person", str(alice.pk), "Alice")
    assert (entry.action, entry.object_kind, entry.object_id) == ("price.set", "price", "gpt-4o")
    assert (entry.before, entry.after, entry.request_id) == ({"input": "1"}, {"input": "2"}, "abc")


def test_a_key_is_an_actor_by_its_name(team: Team) -> None:
    key, text = make_key(team, name="ci")
    actor = caller_for(text).actor()
    assert (actor.kind, actor.id, actor.name) == ("key", str(key.pk), "ci")


def test_a_log_as_it_was_written_is_whole(team: Team, alice: User) -> None:
    values = {
        "text": "ünï\u2028 \0",
        "money": Decimal("1.10"),
        "at": datetime(2026, 11, 1, 12, tzinfo=UTC),
        "day": date(2026, 11, 1),
        "id": UUID(int=7),
        "share": 0.1,
        "nothing": None,
        "list": ["a", {"b": 2}],
        "big": 2**60,
    }
    for _ in range(3):
        audit.record(Actor.of(alice), team, "team.change", "team", team.pk, before=values, after={"yes": True})
    assert audit.verify(team) is None
    assert audit.verify(None) is None


@pytest.mark.parametrize(
    "change",
    [
        "actor_name = 'Bob'",
        'after = \'{"role": "viewer"}\'',
        "before = NULL",
        "at = at + interval '1 second'",
        "action = 'member.add'",
        "object_id = '9'",
        "request_id = 'other'",
        "hash = decode(repeat('00', 32), 'hex')",
    ],
)
def test_a_changed_entry_is_found(team: Team, alice: User, change: str) -> None:
    entries = [
        audit.record(Actor.of(alice), team, "member.remove", "member", 1, before={"role": "admin"}, after={})
        for _ in range(3)
    ]
    _as_the_databases_owner(f"UPDATE tracking_auditentry SET {change} WHERE id = %s", entries[1].pk)
    assert audit.verify(team) == entries[1].pk


def test_a_missing_entry_is_found_at_the_one_after_it(team: Team, alice: User) -> None:
    entries = [audit.record(Actor.of(alice), team, "member.remove", "member", 1) for _ in range(3)]
    _as_the_databases_owner("DELETE FROM tracking_auditentry WHERE id = %s", entries[1].pk)
    assert audit.verify(team) == entries[2].pk


def test_each_team_has_a_chain_of_its_own(team: Team, other_team: Team) -> None:
    entry = audit.record(SYSTEM, team, "member.add", "member", 1)
    audit.record(SYSTEM, other_team, "member.add", "member", 1)
    _as_the_databases_owner("UPDATE tracking_auditentry SET object_id = '2' WHERE id = %s", entry.pk)
    assert audit.verify(team) == entry.pk
    assert audit.verify(other_team) is None


@pytest.mark.parametrize("sql", ["UPDATE tracking_auditentry SET action = 'x'", "DELETE FROM tracking_auditentry"])
def test_the_database_refuses_to_change_or_delete_entries(team: Team, sql: str) -> None:
    with (
        pytest.raises(DatabaseError, match="never changed or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert audit.verify(team) is None


@pytest.mark.parametrize("name", ["password", "Client_Secret", "digest", "session_token"])
def test_a_field_named_like_a_secret_is_refused(team: Team, name: str) -> None:
    with pytest.raises(SecretInAudit):
        audit.record(SYSTEM, team, "x", "y", after={name: "hunter2"})


def test_a_change_and_its_entry_are_lost_together(team: Team, alice: User) -> None:
    before = AuditEntry.objects.count()
    with transaction.atomic():
        teams.change_team(team, name="New name", time_zone="UTC", actor=Actor.of(alice))
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == before
    assert audit.verify(team) is None


@pytest.mark.django_db(transaction=True)
def test_entries_written_at_once_still_make_one_chain() -> None:
    team = make_team()
    before = AuditEntry.objects.filter(team=team).count()

    def write(number: int) -> None:
        try:
            audit.record(SYSTEM, team, "price.set", "price", number)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    assert AuditEntry.objects.filter(team=team).count() == before + 200
    assert audit.verify(team) is None
