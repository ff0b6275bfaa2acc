"""Agents kept: every version, nobody's change lost, and what a job gets of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from tests.make import make_team, make_user
from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.agents.resolve import resolve, resolved
from tracking.audit import SYSTEM, Actor
from tracking.errors import Conflict, Invalid, NotFound, TooLarge
from tracking.models import AgentVersion, AuditEntry, Team

pytestmark = pytest.mark.django_db


def agent(team: Team, name: str = "writer", **more: Any) -> Definition:
    return Definition.read(team, {"name": name, "model": "demo/agent", **more})


def saved(team: Team, name: str = "writer", *, expected: int | None = None, note: str = "", **more: Any) -> store.Kept:
    return store.save(team, agent(team, name, **more), actor=SYSTEM, note=note, expected_version=expected)[0]


def team_of(team: Team, name: str, *others: str) -> store.Kept:
    """One that hands tasks to other agents."""
    members = [{"name": f"{other} for {name}"[:200], "agent": other} for other in others]
    return saved(team, name, tools=["hand_off"], members=members)


def test_each_save_is_a_version_and_none_is_lost(team: Team) -> None:
    first = saved(team, instructions="one", note="  the\nbeginning ")
    second = saved(team, instructions="two", expected=1)
    assert (first.version, second.version) == (1, 2)
    assert [(row.version, row.note) for row in store.versions(team, "writer")] == [(2, ""), (1, "the beginning")]
    assert store.find(team, "writer").definition.instructions == "two"
    assert store.find(team, "writer", 1).definition.instructions == "one"
    with pytest.raises(NotFound, match="no version 3; its latest is 2"):
        store.find(team, "writer", 3)


def test_a_save_that_says_nothing_new_is_no_version(team: Team) -> None:
    saved(team)
    kept, is_new = store.save(team, agent(team), actor=SYSTEM, note="again")
    assert (kept.version, is_new) == (1, False)
    assert AgentVersion.objects.count() == 1


def test_who_saves_over_somebody_elses_change_is_told(team: Team) -> None:
    saved(team, instructions="one")
    saved(team, instructions="two", expected=1)
    with pytest.raises(Conflict, match="its version is 2, not 1"):
        saved(team, instructions="three", expected=1)
    with pytest.raises(Conflict, match="named writer already"):
        saved(team, expected=0)
    with pytest.raises(Conflict, match="version is 0, not 4"):
        saved(team, "nobody", expected=4)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_save_at_once_one_wins(settings: Settings) -> None:
    team = make_team("Core")
    for expected in (0, 1):
        barrier = threading.Barrier(6)

        def save(number: int, expected: int = expected, barrier: threading.Barrier = barrier) -> str:
            barrier.wait()
            try:
                return str(saved(team, instructions=f"{expected} {number}", expected=expected).version)
            except Conflict:
                return "conflict"
            finally:
                connection.close()

        with ThreadPoolExecutor(6) as threads:
            assert sorted(threads.map(save, range(6))) == [str(expected + 1), *["conflict"] * 5]
    assert AgentVersion.objects.count() == 2


def test_the_log_says_who_changed_what(team: Team) -> None:
    ada = Actor.of(make_user("Ada", team=team))
    store.save(team, agent(team), actor=ada)
    store.save(team, agent(team, tools=["clock"], parameters={"max_tokens": 5}), actor=ada, note="time")
    store.archive(team, "writer", actor=ada)
    store.restore(team, "writer", 1, actor=ada)
    log = AuditEntry.objects.filter(team=team, object_kind="agent").order_by("id")
    assert [(entry.action, entry.actor_name) for entry in log] == [
        ("agent.create", "Ada"),
        ("agent.change", "Ada"),
        ("agent.archive", "Ada"),
        ("agent.restore", "Ada"),
        ("agent.change", "Ada"),
    ]
    assert log[1].after == {"version": 2, "changed": ["parameters", "tools"], "note": "time"}


def test_an_archived_agent_is_not_listed_nor_run_and_comes_back(team: Team) -> None:
    saved(team, instructions="one")
    saved(team, "other")
    store.archive(team, "writer", actor=SYSTEM)
    assert [kept.name for kept in store.of_team(team)] == ["other"]
    assert [kept.name for kept in store.of_team(team, is_archived=True)] == ["writer"]
    assert store.names(team) == {"other": 1}
    with pytest.raises(Invalid, match="archived"):
        resolve(team, "writer")
    with pytest.raises(Conflict, match="archived: restore it"):
        saved(team, instructions="two")
    kept, is_new = store.restore(team, "writer", actor=SYSTEM)
    assert (kept.version, is_new, kept.row.archived_at) == (1, False, None)
    assert resolve(team, "writer")["instructions"] == "one"


def test_an_old_version_comes_back_as_the_newest(team: Team) -> None:
    saved(team, instructions="one")
    saved(team, instructions="two")
    kept, is_new = store.restore(team, "writer", 1, actor=SYSTEM)
    assert (kept.version, is_new, kept.definition.instructions) == (3, True, "one")
    assert store.versions(team, "writer")[0].note == "Version 1 again"
    assert [row.version for row in store.versions(team, "writer", limit=2, before=3)] == [2, 1]


def test_a_list_goes_on_after_a_name(team: Team, other_team: Team) -> None:
    for name in ("b", "a", "c"):
        saved(team, name)
    saved(team, "a", instructions="new")
    saved(other_team, "a")
    first = store.of_team(team, limit=2)
    assert [(kept.name, kept.version) for kept in first] == [("a", 2), ("b", 1)]
    assert [kept.name for kept in store.of_team(team, limit=2, after="b")] == ["c"]


def test_another_team_has_no_part_in_it(team: Team, other_team: Team) -> None:
    saved(team)
    for reach in (store.find, store.versions, resolve):
        with pytest.raises(NotFound):
            reach(other_team, "writer")  # type: ignore[operator]
    with pytest.raises(Invalid, match="no agent named writer"):
        team_of(other_team, "boss", "writer")
    assert saved(other_team).version == 1


def test_a_team_has_so_many_agents(team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "agents_per_team": 1}
    saved(team)
    with pytest.raises(Invalid, match="at most 1"):
        saved(team, "second")
    with pytest.raises(Invalid, match="at most 500"):
        saved(team, instructions="x", note="n" * 501)


# --- members ------------------------------------------------------------------------------------------------------------


def test_a_snapshot_has_all_members_in_it_as_they_were(team: Team) -> None:
    saved(team, "ann", instructions="one")
    team_of(team, "lead", "ann")
    team_of(team, "boss", "lead")
    snapshot = resolve(team, "boss")
    saved(team, "ann", instructions="two")
    lead = snapshot["members"][0]["definition"]
    ann = lead["members"][0]["definition"]
    assert (snapshot["version"], lead["name"], ann["instructions"], ann["version"]) == (1, "lead", "one", 1)
    assert resolve(team, "boss")["members"][0]["definition"]["members"][0]["definition"]["instructions"] == "two"
    assert resolve(team, "ann", 1)["instructions"] == "one"
    inline = agent(
        team, "free", tools=["hand_off"], members=[{"name": "a", "agent": "ann"}, {"name": "b", "model": "demo/echo"}]
    )
    assert [("definition" in one) for one in resolved(team, inline)["members"]] == [True, False]


def test_nobody_is_their_own_member(team: Team) -> None:
    with pytest.raises(Invalid, match="a > a") as raised:
        team_of(team, "a", "a")
    assert raised.value.field == "members.0.agent"
    saved(team, "a")
    team_of(team, "b", "a")
    team_of(team, "c", "b")
    with pytest.raises(Invalid, match="a > c > b > a"):
        team_of(team, "a", "c")


def test_members_are_nested_so_deep_and_no_deeper(team: Team) -> None:
    saved(team, "0")
    for depth in range(1, 4):
        team_of(team, str(depth), str(depth - 1))
    with pytest.raises(Invalid, match="more than 3 deep"):
        team_of(team, "4", "3")


def test_a_member_that_is_gone_is_told_where_it_is_named(team: Team) -> None:
    saved(team, "ann")
    team_of(team, "boss", "ann")
    with pytest.raises(Conflict, match="boss has ann as a member"):
        store.archive(team, "ann", actor=SYSTEM)
    with pytest.raises(Invalid, match="no agent named ben") as raised:
        team_of(team, "boss", "ann", "ben")
    assert raised.value.field == "members.1.agent"
    store.archive(team, "boss", actor=SYSTEM)
    store.archive(team, "ann", actor=SYSTEM)
    with pytest.raises(Invalid, match="ann is archived"):
        store.restore(team, "boss", actor=SYSTEM)


def test_a_snapshot_has_a_size(team: Team, settings: Settings) -> None:
    saved(team, "ann", instructions="x" * 3_000)
    settings.LIMITS = {**settings.LIMITS, "agent_snapshot_bytes": 3_000}
    with pytest.raises(TooLarge, match="that a job keeps"):
        team_of(team, "boss", "ann")
