"""The sample team: through the front door into every total, and out again without a trace."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.make import make_team, make_user
from tests.server import running_server
from tests.tracking.queue.workers import Workers, became
from tracking import invariants, pricing
from tracking.audit import SYSTEM, Actor
from tracking.demo import jobs, story, wire
from tracking.demo import team as demo
from tracking.demo.sender import send
from tracking.errors import Invalid
from tracking.models import AgentJob, ApiKey, AuditEntry, JobSchedule, JobStep, Run, Team
from tracking.queue import states
from tracking.usage.query import usage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same story with fewer runs."""
    monkeypatch.setattr(story.runs, "__kwdefaults__", {"count": 120, "days": 8})


def rows_of(team_id: int) -> dict[str, int]:
    """Rows with the team's id, by table, wherever there is such a column."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_name)"
            " WHERE c.column_name = 'team_id' AND c.table_schema = 'public' AND t.table_type = 'BASE TABLE'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        counts = {}
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM {table} WHERE team_id = %s", [team_id])
            counts[table] = cursor.fetchone()[0]
    return {table: count for table, count in counts.items() if count}


def test_the_sample_team_is_what_its_story_says_and_leaves_without_a_trace(small: None, tmp_path: Path) -> None:
    pricing.load_bundled()
    core = make_team("Core")
    alice = make_user("Alice", team=core, role="admin")
    with running_server(tmp_path) as server:
        team = demo.begin(core.organization, actor=Actor.of(alice))
        sent = demo.fill(team, server.url, actor=SYSTEM)
        told = story.runs(seed=demo.SEED, now=team.created_at)
        _is_what_was_told(team, told)
        again = demo.fill(team, server.url, actor=SYSTEM)
        assert (sent.rejected_spans, again.requests) == (0, sent.requests)
        _is_what_was_told(team, told)

    assert invariants.check(team.pk) == []
    assert list(team.memberships.values_list("user", "role")) == [(alice.pk, "admin")]
    assert not ApiKey.objects.filter(team=team, revoked_at=None).exists()
    assert demo.remove(team, actor=SYSTEM) > 100
    assert set(rows_of(team.pk)) <= {"tracking_auditentry"}
    assert not Team.objects.filter(pk=team.pk).exists()
    assert AuditEntry.objects.filter(action="demo.remove").count() == 1
    assert Team.objects.get() == core


def _is_what_was_told(team: Team, told: list[story.DemoRun]) -> None:
    calls = [step for run in told for step in run.steps if step.kind == "llm"]
    begun = team.created_at - timedelta(days=30)
    only = {"environment": ["production", "staging"]}  # recordings name other environments, or none
    totals = usage([team.pk], start=begun, end=team.created_at, filters=only).totals
    runs = Run.objects.filter(team=team)
    assert runs.filter(environment__in=only["environment"]).count() == len(told)
    assert runs.exclude(environment__in=only["environment"]).filter(llm_calls__gt=0).count() >= 4
    assert totals.spans == sum(len(run.steps) for run in told)
    assert totals.llm_calls == len(calls)
    assert totals.input_tokens == sum(step.input_tokens for step in calls)
    assert totals.output_tokens == sum(step.output_tokens for step in calls)
    unpriced = [step for step in calls if step.model and step.model.name == "mistral-ops-ft" and not step.refused]
    assert totals.unpriced_calls == len(unpriced)


def test_its_agents_work_while_one_looks_and_are_gone_with_it(small: None, tmp_path: Path) -> None:
    """Done, asked about, stopped in a circle, out of money: what a page of jobs has to show, by a worker as anybody's are."""
    pricing.load_bundled()
    team = demo.begin(make_team("Core").organization, actor=SYSTEM)
    crew = Workers(tmp_path)
    try:
        crew.start()
        assert (
            jobs.begin(team, actor=SYSTEM)
            == jobs.begin(team, actor=SYSTEM)
            == AgentJob.objects.filter(team=team).count()
        )
        ends = {
            "demo 0": "completed", "demo 1": "completed", "demo 2": "waiting_approval", "demo 3": "failed", "demo 4": "paused_budget",
        }  # fmt: skip
        for key, status in ends.items():
            became(AgentJob.objects.get(team=team, idempotency_key=key), status)
        assert JobStep.objects.filter(team=team, agent="fact-checker", name="clock").exists()
        assert JobSchedule.objects.filter(team=team).count() == 1
        jobs_left = AgentJob.objects.get(team=team, idempotency_key="demo 4")
        states.change(team, jobs_left.id, actor=SYSTEM, budget_usd=Decimal(1))  # one is under way
        demo.remove(team, actor=SYSTEM)
        time.sleep(2)
    finally:
        crew.end()
    assert set(rows_of(team.pk)) <= {"tracking_auditentry"}


def test_a_second_sample_team_and_a_real_team_are_refused(db: None) -> None:
    core = make_team("Core")
    demo.begin(core.organization, actor=SYSTEM)
    with pytest.raises(Invalid, match="already"):
        demo.begin(core.organization, actor=SYSTEM)
    with pytest.raises(Invalid, match="no demo team"):
        demo.remove(core, actor=SYSTEM)
    with pytest.raises(Invalid, match="no demo team"):
        demo.fill(core, "http://127.0.0.1:1", actor=SYSTEM)


def test_a_load_that_the_server_does_not_take_leaves_no_team_behind(
    small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.demo.sender.TRIES", 1)
    make_team("Core")
    with pytest.raises(CommandError, match="did not take"):
        call_command("demo", url="http://127.0.0.1:1")
    assert not Team.objects.filter(is_demo=True).exists()


def test_a_refused_key_is_said_and_not_tried_again(tmp_path: Path, db: None) -> None:
    bodies = [wire.request(story.runs(seed=1, now=make_team("Core").created_at, count=5)[:1])]
    with running_server(tmp_path) as server, pytest.raises(Invalid, match="401"):
        send(server.url, "wf_live_nobody", bodies)
    with pytest.raises(Invalid, match="no address"):
        send("ftp://nowhere", "x", bodies)
