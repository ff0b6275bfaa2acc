from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests.make import make_key, make_team
from tracking import keys
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotAllowed, NotFound, Unauthenticated
from tracking.keys import ApiKeyAuth, acaller_for, caller_for, secret_of
from tracking.models import ApiKey, AuditEntry, Team, User
from wflo.keys import ALPHABET, checksum, digest_of, is_typo, new_key, prefix_of


def test_a_new_key_has_its_parts_and_a_right_checksum() -> None:
    text = new_key()
    assert re.fullmatch(r"wf_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", text)
    assert not is_typo(text)
    assert prefix_of(text) == text[:20]
    assert new_key() != text


@pytest.mark.parametrize("place", [9, 21, 40, 63, 69])
def test_any_letter_typed_wrong_is_seen_in_the_checksum(place: int) -> None:
    text = new_key()
    assert is_typo(text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :])


def test_the_checksum_is_crc32_in_base_62() -> None:
    number = 0
    for digit in checksum("123456789"):
        number = number * 62 + ALPHABET.index(digit)
    assert number == 0xCBF43926  # CRC-32's published check value


@pytest.mark.parametrize("text", ["sk-anything", "wf_live_short", "a", ""])
def test_a_foreign_key_is_no_typo_and_shows_little(text: str) -> None:
    assert not is_typo(text)
    assert len(prefix_of(text)) <= len(text) // 3


def test_the_database_has_the_digest_alone(team: Team) -> None:
    key, text = make_key(team)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text, k.digest FROM tracking_apikey k WHERE id = %s", [key.pk])
        row, digest = cursor.fetchone()
    assert bytes(digest) == digest_of(text)
    assert text.rsplit("_", 1)[1] not in row
    assert text.rsplit("_", 1)[1] not in str(list(AuditEntry.objects.values()))


def test_a_key_names_its_caller(team: Team) -> None:
    team.redaction, team.spans_per_day_max = Team.Redaction.OFF, 5000
    team.save(update_fields=["redaction", "spans_per_day_max"])
    key, text = make_key(team, name="ci", scopes=["ingest", "read"], allowed_models=["gpt-4o", " gpt-4o ", ""])
    caller = caller_for(text, scope="ingest")
    assert (caller.team_id, caller.team_slug, caller.key_id, caller.name) == (team.pk, team.slug, str(key.pk), "ci")
    assert caller.scopes == {"ingest", "read"}
    assert caller.allowed_models == ("gpt-4o",)
    assert (caller.redaction, caller.spans_per_day_max, caller.is_operator) == ("off", 5000, False)


def test_a_missing_scope_is_refused_by_name(team: Team) -> None:
    _, text = make_key(team, name="sender", scopes=["ingest"])
    with pytest.raises(NotAllowed, match='"sender" has no scope "read". Its scopes: ingest.'):
        caller_for(text, scope="read")


def test_a_typo_is_refused_without_asking_the_database(team: Team) -> None:
    _, text = make_key(team)
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    with CaptureQueriesContext(connection) as queries, pytest.raises(Unauthenticated, match="typing error"):
        caller_for(wrong)
    assert len(queries) == 0


def test_a_wrong_key_costs_one_look_up_however_often_it_calls(db: None) -> None:
    text = new_key()
    with CaptureQueriesContext(connection) as queries:
        for _ in range(1000):
            with pytest.raises(Unauthenticated):
                caller_for(text)
    assert len(queries) == 1


def test_a_right_key_is_looked_up_once_in_a_while(team: Team) -> None:
    _, text = make_key(team)
    caller_for(text)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(100):
            caller_for(text)
    assert len(queries) <= 1  # none, unless the second is just over


def test_wrong_keys_do_not_fill_the_memory(team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "keys_cached": 10}
    memory = keys._Memory()
    known = keys._Known(keys.Caller(team.pk, team.slug), None, time.monotonic() + 60)
    memory.keep(b"good", known)
    for number in range(1000):
        memory.keep(str(number).encode(), None)
    assert memory.find(b"good") is known
    assert len(memory._unknown) == 10


def _refusal(text: str) -> str:
    """What a caller is told once the key is refused; fails when it goes on being accepted."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            caller_for(text)
        except Unauthenticated as error:
            return error.message
        time.sleep(0.05)
    pytest.fail("still accepted")


def test_a_key_revoked_by_another_process_is_refused_when_the_memory_ends(team: Team, settings: Settings) -> None:
    key, text = make_key(team)
    caller_for(text)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=datetime.now(UTC))
    assert "revoked" in _refusal(text)
    assert settings.LIMITS["key_cache_seconds"] == 1


def test_revoking_here_is_seen_at_once_and_only_once(team: Team) -> None:
    key, text = make_key(team)
    caller_for(text)
    assert keys.revoke(key, actor=SYSTEM) is True
    with pytest.raises(Unauthenticated):
        caller_for(text)
    assert keys.revoke(key, actor=SYSTEM) is False
    assert AuditEntry.objects.filter(action="key.revoke", object_id=str(key.pk)).count() == 1


def test_an_expired_key_is_refused_with_the_time(team: Team) -> None:
    _, text = make_key(team, expires_at=datetime.now(UTC) + timedelta(seconds=1))
    assert "expired on" in _refusal(text)


def test_while_keys_change_hands_both_work(team: Team, alice: User) -> None:
    key, old_text = make_key(team, name="ci", scopes=["ingest"])
    new, new_text = keys.rotate(key, actor=Actor.of(alice))
    assert caller_for(old_text).key_id == str(key.pk)
    assert caller_for(new_text).key_id == str(new.pk)
    assert (new.name, new.scopes, new.created_by_id) == ("ci", ["ingest"], alice.pk)
    key.refresh_from_db()
    assert key.expires_at is not None
    assert timedelta(hours=23) < key.expires_at - datetime.now(UTC) <= timedelta(hours=24)


def test_replacing_a_key_never_lengthens_its_life(team: Team) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    key, _ = make_key(team, expires_at=ends)
    keys.rotate(key, actor=SYSTEM)
    key.refresh_from_db()
    assert key.expires_at == ends


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 121),
        ("scopes", []),
        ("scopes", ["ingest", "everything"]),
        ("allowed_models", ["m" * 201]),
        ("allowed_models", ["a\0b"]),
        ("expires_at", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_wrong_field_of_a_new_key_is_named(team: Team, field: str, value: object) -> None:
    values: dict[str, object] = {"name": "k", "scopes": ["read"], "actor": SYSTEM, field: value}
    with pytest.raises(Invalid) as refused:
        keys.mint(team, **values)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not ApiKey.objects.exists()


def test_a_team_has_so_many_keys_and_no_more(team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "keys_per_team": 2}
    first, _ = make_key(team)
    make_key(team)
    with pytest.raises(Invalid, match="at most 2 keys"):
        make_key(team)
    keys.revoke(first, actor=SYSTEM)
    make_key(team)


def test_any_word_can_be_taken_in_as_a_key_with_all_scopes(team: Team) -> None:
    key = keys.import_key(team, "my-own-key-1", name="WFLO_API_KEY", actor=SYSTEM)
    assert key is not None
    assert caller_for("my-own-key-1").scopes == set(keys.ALL_SCOPES)
    assert key.prefix == "my-o"
    assert keys.import_key(team, "my-own-key-1", name="WFLO_API_KEY", actor=SYSTEM) is None


def test_a_key_is_one_teams_alone(team: Team) -> None:
    keys.import_key(make_team("Elsewhere"), "shared", name="k", actor=SYSTEM)
    with pytest.raises(Invalid, match="another team"):
        keys.import_key(team, "shared", name="k", actor=SYSTEM)


@pytest.mark.parametrize(
    "text", ["", "two words", "line\nbreak", "näh", "x" * 501, "wf_live_" + "0" * 12 + "_" + "0" * 49]
)
def test_what_cannot_be_a_key_is_not_taken_in(team: Team, text: str) -> None:
    with pytest.raises(Invalid):
        keys.import_key(team, text, name="k", actor=SYSTEM)


def test_another_teams_key_is_not_found(team: Team) -> None:
    key, _ = make_key(make_team("Elsewhere"))
    for wanted in (key.pk, "nonsense", ""):
        with pytest.raises(NotFound):
            keys.key_of(team, wanted)


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "expected"),
    [
        ("Bearer abc", None, "abc"),
        ("bearer  abc ", None, "abc"),
        (None, " abc", "abc"),
        ("Basic YTpi", "abc", "abc"),
        ("Bearer one", "two", "one"),
    ],
)
def test_the_key_is_read_from_its_headers(authorization: str | None, x_api_key: str | None, expected: str) -> None:
    assert secret_of(authorization, x_api_key) == expected


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "abc"])
def test_without_a_key_a_request_is_told_where_to_put_it(authorization: str | None) -> None:
    with pytest.raises(Unauthenticated, match="Authorization: Bearer <key>"):
        secret_of(authorization, None)


def test_ninja_gets_a_caller_and_no_key_from_the_address_or_a_cookie(team: Team) -> None:
    _, text = make_key(team, scopes=["read"])
    auth = ApiKeyAuth("read")
    request = RequestFactory()
    assert auth(request.get("/", headers={"Authorization": f"Bearer {text}"})).team_id == team.pk
    assert auth(request.get("/", headers={"X-API-Key": text})).team_id == team.pk
    with pytest.raises(Unauthenticated):
        auth(request.get(f"/?api_key={text}&key={text}"))


def test_last_used_is_kept_once_a_minute(team: Team) -> None:
    key, text = make_key(team)
    caller_for(text)
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    keys._memory.forget(digest_of(text))
    caller_for(text)
    key.refresh_from_db()
    assert key.last_used_at == first


@pytest.mark.django_db(transaction=True)
def test_many_requests_at_once_share_one_look_up() -> None:
    team = make_team()
    _, text = make_key(team)

    async def ask() -> tuple[int, set[int]]:
        calls = [asyncio.create_task(acaller_for(text, scope="ingest")) for _ in range(200)]
        await asyncio.sleep(0)
        under_way = len(keys._asked)
        return under_way, {caller.team_id for caller in await asyncio.gather(*calls)}

    assert asyncio.run(ask()) == (1, {team.pk})
    assert keys._asked == {}


@pytest.mark.django_db(transaction=True)
def test_on_an_event_loop_the_refusals_are_the_same() -> None:
    team = make_team()
    _, text = make_key(team, scopes=["read"])
    with pytest.raises(NotAllowed):
        asyncio.run(acaller_for(text, scope="ingest"))
    with pytest.raises(Unauthenticated):
        asyncio.run(acaller_for(new_key()))


_AWAY = """
import asyncio, django
from django.conf import settings
settings.DATABASES["default"]["OPTIONS"]["pool"]["timeout"] = 0.3
django.setup()
from tracking.errors import Unavailable
from tracking.keys import acaller_for, caller_for
from wflo.keys import new_key
refused = 0
for ask in (caller_for, lambda text: asyncio.run(acaller_for(text)), caller_for):
    try:
        ask(new_key())
    except Unavailable as error:
        refused += error.status == 503
raise SystemExit(0 if refused == 3 else 1)
"""


def test_while_postgresql_is_away_nobody_is_told_their_key_is_wrong(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        address = f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/none"
        env = {**os.environ, "WFLO_DATABASE_URL": address, "WFLO_HOME": str(tmp_path)}
        env["DJANGO_SETTINGS_MODULE"] = "wflo_site.settings"
        done = subprocess.run([sys.executable, "-c", _AWAY], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
