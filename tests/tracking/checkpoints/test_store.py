"""States saved by many at once, read back, superseded and cleared away; a team's own alone."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from tests.make import make_team
from tracking.audit import SYSTEM
from tracking.checkpoints import rollbacks, store
from tracking.checkpoints.new import NewCheckpoint
from tracking.errors import Conflict, Invalid, NotFound, TooLarge
from tracking.models import AuditEntry, Checkpoint, RunControl, StatePart, Team

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Savers")


def new(team: Team, state: Any, run: str = "r", **more: Any) -> NewCheckpoint:
    return NewCheckpoint(team_id=team.pk, run=run, state=state, redaction=team.redaction, **more)


def test_it_is_read_back_by_id_version_and_as_the_latest(team: Team) -> None:
    state = {"messages": [{"role": "user", "content": "x" * 500} for _ in range(40)], "n": 1}
    first, second = (store.save(new(team, state | {"n": n}, name=f"step {n}")) for n in (1, 2))
    assert (first.version, second.version) == (1, 2)
    for reference in (str(second.id), "2", "latest"):
        assert store.state_of(store.find(team, "r", reference)) == state | {"n": 2}
    for reference in ("3", str(uuid.uuid4()), "nothing"):
        with pytest.raises(NotFound):
            store.find(team, "r", reference)
    with pytest.raises(NotFound):
        store.find(make_team("Others"), "r", "1")


def test_many_at_once_get_versions_without_a_gap(team: Team) -> None:
    def save(number: int) -> int:
        try:
            return store.save(new(team, {"shared": ["m" * 300] * 20, "n": number}, run=f"r{number % 2}")).version
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        versions = list(threads.map(save, range(40)))
    assert sorted(versions) == sorted([*range(1, 21)] * 2)


def test_the_same_id_again_changes_nothing_and_is_one_runs(team: Team) -> None:
    one = new(team, {"n": 1})
    first = store.save(one)
    again = store.save(new(team, {"n": 2}, id=one.id))
    assert (again.version, again.is_new) == (first.version, False)
    assert store.state_of(store.find(team, "r", "1")) == {"n": 1}
    with pytest.raises(Conflict, match="of the run"):
        store.save(new(team, {}, run="another", id=one.id))


def test_too_much_is_refused_and_secrets_are_struck_out(team: Team) -> None:
    with pytest.raises(TooLarge, match="more than"):
        store.save(new(team, {"text": "x" * (2 * 2**20)}))
    with pytest.raises(Invalid, match="128"):
        store.save(new(team, {}, run="r" * 129))
    store.save(new(team, {"key": "sk-proj-abcdefghijklmnopqrstuvwxyz0123"}))
    assert store.state_of(store.find(team, "r", "latest")) == {"key": "[redacted key]"}


def test_what_is_too_old_goes_with_the_parts_nobody_has(team: Team) -> None:
    shared, own = {"text": "shared " * 100}, {"text": "own " * 100}
    old = store.save(new(team, {"items": [shared, own]}))
    kept = store.save(new(team, {"items": [shared]}))
    long_ago = now() - timedelta(days=team.retention_days + 3)
    Checkpoint.objects.filter(team=team, id=old.id).update(created_at=long_ago)
    StatePart.objects.filter(team=team).update(used_at=long_ago)
    store.save(new(team, {"items": [shared]}, name="again"))  # marks what it shares as used
    assert store.clear_old() == 1
    assert StatePart.objects.filter(team=team).count() == 1
    assert store.state_of(store.find(team, "r", str(kept.id))) == {"items": [shared]}


def test_a_part_that_is_saved_while_it_is_cleared_away_is_there_afterwards(team: Team) -> None:
    state = {"items": [{"text": "again " * 100}]}
    first = store.save(new(team, state))
    long_ago = now() - timedelta(days=team.retention_days + 3)
    Checkpoint.objects.filter(team=team, id=first.id).update(created_at=long_ago)
    StatePart.objects.filter(team=team).update(used_at=long_ago)
    cleared = threading.Event()

    def clear() -> None:
        store.clear_old()
        connection.close()
        cleared.set()

    with transaction.atomic():
        store.insert(store.checked(new(team, state)), store._execute)
        thread = threading.Thread(target=clear)
        thread.start()
        assert not cleared.wait(0.3)  # it waits for us, and then looks again
    thread.join()
    assert store.state_of(store.find(team, "r", "latest")) == state


def test_a_run_is_asked_once_and_answers_once(team: Team) -> None:
    for number in range(3):
        store.save(new(team, {"n": number}, name=f"step {number}"))
    wish = rollbacks.request(team, "r", "2", reason="it went wrong", actor=SYSTEM, overrides={"model": "demo/agent"})
    assert rollbacks.request(team, "r", "2", reason="twice", actor=SYSTEM).id == wish.id
    with pytest.raises(Conflict, match="asked already"):
        rollbacks.request(team, "r", "1", reason="", actor=SYSTEM)
    with pytest.raises(Invalid, match="colour"):
        rollbacks.request(team, "r", "2", reason="", actor=SYSTEM, overrides={"colour": "red"})
    taken = rollbacks.answer(team, "r", wish.id, status="taken", new_run="r again", actor=SYSTEM)
    assert (
        rollbacks.answer(team, "r", wish.id, status="taken", new_run="r again", actor=SYSTEM).answered_at
        == taken.answered_at
    )
    with pytest.raises(Conflict, match="taken already"):
        rollbacks.answer(team, "r", wish.id, status="refused", actor=SYSTEM)
    assert [row.superseded_at is None for row in store.of_run(team, "r", limit=9)] == [False, True, True]
    assert store.find(team, "r", "latest").version == 2
    control = RunControl.objects.get(team=team, run="r")
    assert "it goes on as r again" in control.kill_reason
    assert AuditEntry.objects.filter(team=team, action__startswith="run.rollback").count() == 2
    with pytest.raises(NotFound):
        rollbacks.answer(make_team("Others"), "r", wish.id, status="taken", new_run="x", actor=SYSTEM)


def test_ten_clicks_are_one_wish(team: Team) -> None:
    store.save(new(team, {}))

    def click(_: int) -> uuid.UUID:
        try:
            return rollbacks.request(team, "r", "1", reason="", actor=SYSTEM).id
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        assert len(set(threads.map(click, range(10)))) == 1


def test_who_refuses_says_why_and_may_be_asked_again(team: Team) -> None:
    store.save(new(team, {}))
    wish = rollbacks.request(team, "r", "1", reason="", actor=SYSTEM)
    assert rollbacks.answer(team, "r", wish.id, status="refused", reason="no state", actor=SYSTEM).answer == "no state"
    assert rollbacks.request(team, "r", "1", reason="", actor=SYSTEM).id != wish.id
