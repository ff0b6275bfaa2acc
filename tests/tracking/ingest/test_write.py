"""What is stored does not depend on how it came: order, splits, retries, two reports of one span, two writers."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from decimal import Decimal
from itertools import permutations

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.make import make_team
from tests.tracking.ingest.snapshot import snapshot
from tests.tracking.ingest.spans import batch, call, span, stored
from tracking import invariants
from tracking.errors import QuotaReached
from tracking.ingest import writer
from tracking.ingest.batch import LogContents
from tracking.ingest.chunks import unpack
from tracking.ingest.write import write
from tracking.ingest.writer import Store, connect
from tracking.models import Agent, Payload, Run, Team, UsageDelta
from tracking.models import Span as SpanRow
from tracking.usage import fold, slices
from wflo.spans import Kind, Span, Status

pytestmark = pytest.mark.django_db(transaction=True)


def a_run(trace: int = 1) -> list[Span]:
    """An agent, its sub-agent, calls told twice, tools, one failed call."""
    t = {"trace": trace}
    return [
        span(1, kind=Kind.AGENT, agent="planner", user_id="mira", session_id="s1", environment="prod", **t),
        call(2, parent=1, **t),
        call(3, parent=2, **t),  # the same call, told by a second library
        span(4, parent=1, kind=Kind.TOOL, tool_name="search", **t),
        span(5, parent=1, kind=Kind.AGENT, agent="writer", **t),
        call(6, parent=5, model="claude-sonnet-4-5", response_id="msg_1", tokens=(2000, 300), **t),
        call(7, parent=5, model="claude-sonnet-4-5", response_id="msg_1", tokens=(2000, 300), begins=6, **t),
        call(8, parent=5, tokens=None, status=Status.ERROR, error="429 too many", **t),
        call(9, parent=5, model="house-model", tokens=(10, 10), **t),
    ]


def test_a_run_is_summed_from_the_calls_that_count(store: Store, team: Team) -> None:
    receipt = stored(store, team, *a_run())

    assert (receipt.accepted, receipt.known, receipt.rejected) == (9, 0, [])
    run = Run.objects.get(team_id=team.id)
    assert (run.span_count, run.llm_calls, run.tool_calls, run.errors) == (9, 4, 1, 1)
    assert (run.input_tokens, run.output_tokens) == (1000 + 2000 + 10, 100 + 300 + 10)
    # gpt-4o-mini at 0.15 and 0.60, claude-sonnet-4-5 at 3 and 15 USD per million tokens
    assert run.cost_usd == Decimal("0.000150") + Decimal("0.000060") + Decimal("0.0060") + Decimal("0.0045")
    assert (run.unpriced_calls, run.status, run.entry_agent) == (1, "completed", "planner")
    assert (run.agents, run.user_id, run.session_id, run.environment) == (["planner", "writer"], "mira", "s1", "prod")
    assert {a.name for a in Agent.objects.filter(team=team)} == {"planner", "writer"}


def test_a_retried_batch_changes_nothing(store: Store, team: Team) -> None:
    stored(store, team, *a_run())
    before = snapshot(team)
    for _ in range(3):
        receipt = stored(store, team, *a_run())
        assert (receipt.accepted, receipt.known) == (0, 9)
    fold.fold_all()
    receipt = stored(store, team, *a_run())
    assert (receipt.accepted, receipt.known) == (0, 9)
    assert snapshot(team) == before
    assert Payload.objects.filter(team_id=team.id).count() == 1


@pytest.fixture
def reference(store: Store, transactional_db: None) -> dict[str, object]:
    team = make_team("Reference")
    stored(store, team, *a_run(1), *a_run(2))
    return without_team(snapshot(team))


def without_team(taken: dict[str, object]) -> dict[str, object]:
    for rows in (taken["runs"], taken["spans"]):
        assert isinstance(rows, dict)
        for row in rows.values():
            row.pop("team_id", None)
    return taken


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), cuts=st.integers(1, 9), repeats=st.integers(0, 6), folds=st.booleans())
def test_any_order_any_split_and_repeats_give_the_same(
    store: Store, reference: dict[str, object], seed: int, cuts: int, repeats: int, folds: bool
) -> None:
    rng = random.Random(seed)
    team = make_team(f"Team {seed} {cuts} {repeats} {rng.random()}")
    spans = a_run(1) + a_run(2)
    spans += [rng.choice(a_run(1) + a_run(2)) for _ in range(repeats)]
    rng.shuffle(spans)
    size = -(-len(spans) // cuts)
    for at in range(0, len(spans), size):
        part = spans[at : at + size]
        split = rng.randrange(len(part) + 1)
        store.write([batch(team, *part[:split]), batch(team, *part[split:])])
        if folds and rng.random() < 0.5:
            fold.fold_all()
    assert without_team(snapshot(team)) == reference
    assert invariants.check(team.id) == []


def test_start_update_and_end_may_come_in_any_order(store: Store, transactional_db: None) -> None:
    """I22"""
    start = {"lasts": None, "status": Status.UNSET, "attributes": {"input": "why"}}
    update = {"lasts": None, "status": Status.UNSET, "attributes": {"progress": 1}}
    end = {"lasts": 2.0, "attributes": {"output": "because"}}
    seen = []
    for order in permutations((start, update, end)):
        team = make_team(f"Order {len(seen)}")
        for fields in order:
            stored(store, team, call(1, **fields))
        row = SpanRow.objects.get(team_id=team.id)
        body = Payload.objects.get(team_id=team.id, chunk=row.chunk).body
        seen.append((without_team(snapshot(team)), unpack(body)[row.chunk_position]["attributes"]))
        assert invariants.check(team.id) == []
    assert all(one == seen[0] for one in seen)
    assert seen[0][1] == {"input": "why", "progress": 1, "output": "because"}


def test_a_span_open_keeps_its_run_running_until_it_ends(store: Store, team: Team) -> None:
    stored(store, team, span(1, lasts=None), call(2, parent=1))
    assert Run.objects.get(team_id=team.id).status == "running"
    stored(store, team, span(1, lasts=5.0))
    run = Run.objects.get(team_id=team.id)
    assert (run.status, (run.ended_at - run.started_at).total_seconds()) == ("completed", 5.0)


def test_a_call_sent_again_with_other_tokens_is_replaced_not_added(store: Store, team: Team) -> None:
    """I24"""
    stored(store, team, call(1, tokens=(1000, 100)))
    fold.fold_all()
    stored(store, team, call(1, tokens=(5000, 100)))
    run = Run.objects.get(team_id=team.id)
    assert (run.llm_calls, run.input_tokens) == (1, 5000)


def test_children_before_parents_and_parents_that_never_come(store: Store, team: Team) -> None:
    stored(store, team, call(3, parent=2))
    run = Run.objects.get(team_id=team.id)
    assert (run.status, run.agents, run.llm_calls) == ("running", [], 1)
    stored(store, team, span(2, parent=1, kind=Kind.AGENT, agent="late"))
    run.refresh_from_db()
    assert run.agents == ["late"]
    assert SpanRow.objects.get(team_id=team.id, span_id=3).agent == "late"


def test_writers_side_by_side_on_the_same_runs_lose_nothing(transactional_db: None, team: Team, store: Store) -> None:
    """I25"""
    spans = [s for trace in range(1, 9) for s in a_run(trace)]
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        mine = Store()
        rng = random.Random(seed)
        own = [s for trace in range(1, 9) for s in a_run(trace)]
        rng.shuffle(own)
        try:
            for at in range(0, len(own), 7):
                mine.write([batch(team, *own[at : at + 7])])
        except BaseException as error:
            failures.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert SpanRow.objects.filter(team_id=team.id).count() == len(spans)
    other = make_team("All at once")
    stored(store, other, *spans)
    assert without_team(snapshot(team)) == without_team(snapshot(other))


def wait_for_writers(number: int) -> None:
    """Until so many statements wait for a lock."""
    for _ in range(1_000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0] >= number:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_a_run_that_two_writers_begin_in_the_same_moment_is_one_run(store: Store, team: Team) -> None:
    """The second waits for the first, and writes without another try: what it worked out of other runs stands."""
    other = make_team("One after the other")
    stored(store, other, *a_run(9))  # makes the day's partition, too
    stored(store, team, *a_run(9))
    spans = a_run(1)
    halves = [[*spans[:5], *a_run(2)], [*spans[4:], *a_run(3)]]
    accepted: list[int] = []

    def begin(own: list[Span]) -> None:
        with connect() as own_connection:
            [receipt] = write(own_connection, [batch(team, *own)]).receipts
            accepted.append(receipt.accepted)

    threads = [threading.Thread(target=begin, args=(half,)) for half in halves]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE tracking_payload IN SHARE MODE")
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_for_writers(number)
    for thread in threads:
        thread.join()
    assert accepted == [5 + 9, 4 + 9]  # the span that both bring is known to the second
    stored(store, other, *halves[0])
    stored(store, other, *halves[1])
    assert without_team(snapshot(team)) == without_team(snapshot(other))


@pytest.mark.parametrize("redaction", ["secrets", "off"])
def test_words_that_no_text_of_the_store_can_hold_are_replaced_in_a_title(
    store: Store, team: Team, redaction: str
) -> None:
    asked = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "a\0b"}]}])
    for number in (1, 2):
        root = span(1, kind=Kind.AGENT, agent="x", attributes={"gen_ai.input.messages": asked}, name=f"take {number}")
        store.write([batch(team, root, redaction=redaction)])
        assert Run.objects.get(team_id=team.id).title == "a\ufffdb"


def test_the_same_trace_id_in_two_teams_is_two_runs(store: Store, team: Team) -> None:
    """I31"""
    other = make_team("Other")
    store.write([batch(team, *a_run()), batch(other, *a_run()[:2])])
    assert Run.objects.get(team_id=team.id).span_count == 9
    assert Run.objects.get(team_id=other.id).span_count == 2


def test_one_id_for_two_traces_makes_two_linked_runs(store: Store, team: Team) -> None:
    stored(store, team, span(1, trace=1, run_id="order-7"), span(2, trace=2, run_id="order-7"))
    stored(store, team, span(3, trace=3, run_id="order-7"))
    runs = {run.trace_id.int: run for run in Run.objects.filter(team_id=team.id)}
    assert [runs[n].external_id for n in (1, 2, 3)] == ["order-7", None, None]
    assert runs[2].linked_trace_ids == runs[3].linked_trace_ids == [runs[1].trace_id]


def test_contents_sent_as_log_records_wait_for_their_run(store: Store, team: Team) -> None:
    record = {
        "span_id": f"{1:016x}",
        "event_name": "gen_ai.user.message",
        "body": {"content": "hello"},
        "attributes": {},
        "time_ns": 1,
    }
    logs = LogContents(trace_id=f"{1:032x}", span_id=f"{1:016x}", records=[record])
    store.write([batch(team, logs=[logs])])
    run = Run.objects.get(team_id=team.id)
    assert run.is_hidden
    store.write([batch(team, logs=[logs])])
    stored(store, team, call(1))
    run = Run.objects.get(team_id=team.id)
    assert not run.is_hidden
    assert [unpack(p.body) for p in Payload.objects.filter(team_id=team.id, kind=Payload.Kind.LOGS)] == [[record]]


def test_secrets_are_gone_before_anything_is_stored(store: Store, team: Team) -> None:
    key = "sk-proj-" + "a1B2" * 10
    stored(
        store, team, span(1, name=f"call with {key}", error=f"bad key {key}", attributes={"input.value": f"key {key}"})
    )
    row = SpanRow.objects.get(team_id=team.id)
    body = unpack(Payload.objects.get(team_id=team.id).body)
    assert key not in str(body) + row.name + str(row.error)
    assert body[0]["attributes"]["input.value"] == "key [redacted key]"


def test_a_run_that_is_full_takes_no_more_and_says_so(
    store: Store, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.ingest.share.SPANS_PER_RUN_MAX", 3)
    receipt = stored(store, team, *[span(n) for n in range(1, 6)])
    assert (receipt.accepted, [r.index for r in receipt.rejected]) == (3, [3, 4])
    assert "run_full" in {r.code for r in receipt.rejected}


def test_a_team_over_its_quota_is_told_and_what_was_dropped_is_counted(store: Store, team: Team) -> None:
    """I43"""
    fields = {"spans_per_day_max": 5}
    kept = store.write([batch(team, *a_run(), **fields)])[0]
    late = batch(team, span(20), span(21), **fields)
    fold.fold_all()
    refused = store.write([late])[0]
    assert (kept.accepted, refused.is_over_quota) == (9, True)
    assert SpanRow.objects.filter(team_id=team.id).count() == 9
    with pytest.raises(QuotaReached):
        writer.accept(late)
    writer.stop()
    door = Counter(
        {
            row["agent"]: row["n"]
            for row in UsageDelta.objects.filter(team=team, slice=slices.DOOR).values("agent").annotate(n=Sum("spans"))
        }
    )
    assert door["dropped: quota"] == 4


def test_an_agent_is_first_seen_when_its_earliest_run_began(store: Store, team: Team) -> None:
    stored(store, team, span(1, trace=1, kind=Kind.AGENT, agent="mira", begins=100))
    stored(store, team, span(1, trace=2, kind=Kind.AGENT, agent="mira", begins=10))
    stored(store, team, span(1, trace=3, kind=Kind.AGENT, agent="mira", begins=50))
    agent = Agent.objects.get(team=team, name="mira")
    assert agent.first_seen_at == Run.objects.filter(team_id=team.id).order_by("started_at")[0].started_at


def test_a_declared_agent_is_no_run_to_show(store: Store, team: Team) -> None:
    stored(store, team, span(1, kind=Kind.AGENT, agent="idle", is_declaration=True))
    assert Run.objects.get(team_id=team.id).is_hidden
