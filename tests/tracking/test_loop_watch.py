"""Loops that spans tell of: noticed in any order of arrival, told once with what they burned, stopped where a team says so."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.tracking.ingest.spans import BEGAN_NS, SECOND, batch, call, span
from tracking import agent_breaker, invariants, loop_watch, pricing
from tracking.audit import SYSTEM
from tracking.ingest.writer import Store
from tracking.models import Alert, Circuit, Run, RunControl, Team
from tracking.reports.loops import loop_page
from wflo.spans import Kind, Span

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    pricing.load_bundled()
    store = Store()
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _new_clock() -> None:
    loop_watch._judged.clear()


def ago(seconds: float) -> float:
    """``begins`` of a span that began so long ago."""
    return (time.time_ns() - BEGAN_NS) / SECOND - seconds


def turn(n: int, asked: str, answered: str) -> Span:
    said = {
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": asked}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": answered}]}]),
    }
    return call(n, begins=ago(120 - 4 * n), agent="finder", run_id="nightly", attributes=said)


def looked_up(n: int, asked: str, found: str, *, tool: str = "search") -> Span:
    return span(
        n,
        kind=Kind.TOOL,
        tool_name=tool,
        name=f"execute_tool {tool}",
        begins=ago(120 - 4 * n),
        agent="finder",
        run_id="nightly",
        attributes={"gen_ai.tool.call.arguments": asked, "gen_ai.tool.call.result": found},
    )


def circles(passes: int) -> list[Span]:
    """The same question and the same search, again and again."""
    spans = []
    for n in range(passes):
        spans.append(turn(2 * n + 1, "Where is the parcel?", "I will look it up."))
        spans.append(looked_up(2 * n + 2, '{"q": "parcel"}', "nothing was found for this parcel in any depot"))
    return spans


def test_a_loop_in_spans_is_told_with_its_cycle_and_dollars(store: Store, team: Team) -> None:
    store.write([batch(team, *circles(6))])
    assert loop_watch.watch() == 1
    alert = Alert.objects.get(team=team, kind="loop")
    assert (alert.run, alert.severity, alert.payload["origin"]) == ("nightly", "high", "spans")
    assert alert.payload["times"] >= 3
    assert Decimal(alert.payload["burned_usd"]) > 0
    run = Run.objects.get(team=team)
    assert run.loop_detected
    (loop,) = loop_page(team).loops
    assert (loop.run, loop.did) == (str(run.id), "nothing was stopped")
    assert not RunControl.objects.filter(team=team).exclude(killed_at=None).exists()
    assert invariants.check(team.pk) == []


def test_the_agent_of_a_loop_is_cut_off_where_its_teams_breaker_wants_that(store: Store, team: Team) -> None:
    store.write([batch(team, *circles(6))])
    loop_watch.watch()
    assert not Circuit.objects.filter(team_id=team.pk).exists()
    agent_breaker.set_policy(team, {"mode": "on"}, actor=SYSTEM)
    store.write([batch(team, *circles(9))])
    loop_watch.watch()
    row = Circuit.objects.get(team_id=team.pk, name="agent:finder")
    assert row.state == "open"
    assert row.why.startswith("It went round in circles")
    assert Alert.objects.get(team=team, kind="circuit").payload["loop"]["origin"] == "spans"


def test_however_its_spans_come_the_verdict_is_the_same(store: Store, team: Team) -> None:
    """B38: shuffled, in pieces, from several senders, some twice; looked at in between."""
    rng = random.Random(5)
    seen = set()
    for trial in range(6):
        spans = circles(6)
        for one in spans:
            one.trace_id, one.run_id = f"{trial + 1:032x}", f"nightly-{trial}"
        spans += rng.sample(spans, 4)
        rng.shuffle(spans)
        while spans:
            some, spans = spans[: rng.randint(1, 5)], spans[rng.randint(1, 5) :] if len(spans) > 5 else []
            store.write([batch(team, *some)])
            if rng.random() < 0.3:
                loop_watch.watch()
        store.write([batch(team, *[_of(trial, one) for one in circles(6)])])
        loop_watch.watch()
        alert = Alert.objects.filter(team=team, run=f"nightly-{trial}").latest("last_at")
        seen.add(
            (
                alert.payload["loop_type"],
                alert.payload["times"],
                alert.payload["first_step"],
                tuple(alert.payload["cycle"]),
            )
        )
    assert len(seen) == 1, seen


def _of(trial: int, one: Span) -> Span:
    one.trace_id, one.run_id = f"{trial + 1:032x}", f"nightly-{trial}"
    return one


def test_it_is_told_once_again_when_it_goes_on_and_opened_anew(store: Store, team: Team) -> None:
    store.write([batch(team, *circles(5))])
    loop_watch.watch()
    assert loop_watch.watch() == 0, "nothing changed"
    loop_watch._judged.clear()  # another worker
    loop_watch.watch()
    alert = Alert.objects.get(team=team)
    assert alert.times == 1
    Alert.objects.filter(pk=alert.pk).update(resolved_at="2026-01-01T00:00:00Z")
    store.write([batch(team, *circles(8)[10:])])
    loop_watch.watch()
    again = Alert.objects.get(team=team)
    assert again.resolved_at is None
    assert again.payload["times"] > alert.payload["times"]


def test_honest_work_and_waiting_alarm_nobody(store: Store, team: Team) -> None:
    """B39"""
    work = []
    for n in range(12):
        work.append(
            turn(2 * n + 1, f"Step {n}: look at document {n * 7}", f"Document {n * 7} says {n * n} things of note.")
        )
        work.append(looked_up(2 * n + 2, json.dumps({"id": n}), f"the text of document {n * 7}", tool="read_document"))
    store.write([batch(team, *work)])
    waits = [looked_up(n, '{"job": 7}', '{"status": "pending"}', tool="wait_for_job") for n in range(1, 8)]
    for one in waits:
        one.trace_id, one.run_id = f"{99:032x}", "waiting"
    store.write([batch(team, *waits)])
    assert loop_watch.watch() == 2
    assert not Alert.objects.filter(team=team).exists()


def test_a_team_may_have_it_stopped_or_not_looked_at(store: Store, team: Team, other_team: Team) -> None:
    Team.objects.filter(pk=team.pk).update(loop_policy={"spans": "kill"})
    Team.objects.filter(pk=other_team.pk).update(loop_action="off")
    store.write([batch(team, *circles(6))])
    store.write([batch(other_team, *circles(6))])
    loop_watch.watch()
    control = RunControl.objects.get(team=team, run="nightly")
    assert (control.killed_by, control.kill_reason.partition(":")[0]) == ("Wflo", "loop_detected")
    assert Run.objects.get(team=team).status == "killed"
    assert not Alert.objects.filter(team=other_team).exists()


def test_what_calls_through_the_gateway_is_judged_there(store: Store, team: Team) -> None:
    store.write([batch(team, *circles(6))])
    Run.objects.filter(team=team).update(origin="gateway")
    assert loop_watch.watch() == 0


def test_a_long_run_is_read_as_far_as_its_latest_calls(store: Store, team: Team, settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "loop_spans": 8}
    store.write([batch(team, *circles(10))])
    loop_watch.watch()
    alert = Alert.objects.get(team=team)
    assert alert.payload["first_step"] > 12


def parts(passes: int) -> list[Span]:
    """The same circle, each pass a trace of its own that links to the one before."""
    spans = circles(passes)
    for place, one in enumerate(spans):
        number = place // 2 + 1
        one.trace_id, one.run_id = f"{number:032x}", f"part-{number}"
        if number > 1:
            one.links = [{"trace_id": f"{number - 1:032x}", "span_id": f"{1:016x}", "attributes": {}}]
    return spans


def test_traces_that_links_join_are_one_piece_of_work(store: Store, team: Team) -> None:
    """AutoGen sends one team's run as dozens of traces: none of them repeats itself, together they do."""
    Team.objects.filter(pk=team.pk).update(loop_policy={"spans": "kill"})
    spans = parts(6)
    random.Random(3).shuffle(spans)
    store.write([batch(team, *spans)])
    assert loop_watch.watch() == 1
    alert = Alert.objects.get(team=team, kind="loop")
    assert (alert.run, alert.payload["times"] >= 3) == ("part-1", True)
    assert set(Run.objects.filter(team=team).values_list("loop_detected", "status")) == {(True, "killed")}
    assert loop_watch.watch() == 0


def test_without_links_they_are_six_runs(store: Store, team: Team) -> None:
    spans = parts(6)
    for one in spans:
        one.links = []
    store.write([batch(team, *spans)])
    loop_watch.watch()
    assert not Alert.objects.filter(team=team).exists()


@pytest.mark.parametrize(
    ("rule", "status"),
    [({"is_on": False}, None), ({"strongest": "kill"}, "killed"), ({"strongest": "block"}, "running")],
)
def test_a_workflow_has_a_rule_of_its_own(
    store: Store, team: Team, rule: dict[str, object], status: str | None
) -> None:
    Team.objects.filter(pk=team.pk).update(loop_policy={"workflows": {"finder": rule}})
    store.write([batch(team, *circles(6))])
    loop_watch.watch()
    assert Alert.objects.filter(team=team).exists() == (status is not None)
    assert (Run.objects.get(team=team).status == "killed") == (status == "killed")
