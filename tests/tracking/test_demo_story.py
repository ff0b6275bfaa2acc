"""The demo team's story: the same for the same seed, plausible, and true to its dialects."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import orjson
import pytest

from tracking.demo.cast import CAST, Dialect
from tracking.demo.story import LOOP_TURNS, DemoRun, runs
from tracking.demo.wire import SPANS_PER_REQUEST, request, requests

NOW = datetime(2026, 11, 20, 14, 2, 11, tzinfo=UTC)  # a Friday


@pytest.fixture(scope="module")
def told() -> list[DemoRun]:
    return runs(seed=1, now=NOW)


def test_the_same_seed_and_moment_tell_the_same_to_the_last_byte(told: list[DemoRun]) -> None:
    assert list(requests(runs(seed=1, now=NOW))) == list(requests(told))
    assert list(requests(runs(seed=2, now=NOW, count=50))) != list(requests(runs(seed=3, now=NOW, count=50)))


def test_three_weeks_of_eight_agents(told: list[DemoRun]) -> None:
    assert 2_500 <= len(told) <= 3_500
    assert {step.agent for run in told for step in run.steps} == {role.name for role in CAST}
    assert len(CAST) == 8
    first = datetime.fromtimestamp(told[0].start, UTC)
    assert (NOW - first).days in (20, 21)
    assert all(step.start <= step.end <= NOW.timestamp() for run in told for step in run.steps)


def test_weekdays_are_busier_than_weekends(told: list[DemoRun]) -> None:
    days = Counter(datetime.fromtimestamp(run.start, UTC).weekday() for run in told)
    assert min(days[day] for day in range(5)) > 2 * max(days[5], days[6])


def test_every_span_is_sent_once_with_a_parent_that_began_before_it(told: list[DemoRun]) -> None:
    ids = [(run.trace_id, step.id) for run in told for step in run.steps]
    assert len(set(ids)) == len(ids)
    for run in told:
        begun = {step.id: step.start for step in run.steps}
        assert all(begun.get(step.parent, 0) <= step.start for step in run.steps if step.parent)


def test_something_loops_fails_is_tried_again_is_unpriced_and_is_still_running(told: list[DemoRun]) -> None:
    tools = [Counter((s.name, s.arguments) for s in run.steps if s.kind == "tool") for run in told]
    assert sum(max(counts.values(), default=0) >= LOOP_TURNS // 2 - 1 for counts in tools) >= 2
    failed = [run for run in told if any(s.parent is None and s.error for s in run.steps)]
    assert 0.01 < len(failed) / len(told) < 0.1
    assert any(step.refused for run in told for step in run.steps)
    assert any(step.model and step.model.name == "mistral-ops-ft" for run in told for step in run.steps)
    running = [run for run in told if all(step.parent for step in run.steps)]
    assert {run.role.name for run in running} >= {"web-researcher", "invoice-auditor"}


def test_bodies_hold_whole_runs_of_both_dialects(told: list[DemoRun]) -> None:
    seen: dict[str, int] = {}
    for number, body in enumerate(requests(told)):
        read = orjson.loads(body)
        spans = [s for r in read["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]
        assert 0 < len(spans) < 2 * SPANS_PER_REQUEST
        for trace in {span["traceId"] for span in spans}:
            assert seen.setdefault(trace, number) == number
    assert len(seen) == len(told)
    assert {run.role.dialect for run in told} == set(Dialect)
    one = next(run for run in told if run.role.dialect is Dialect.OPENINFERENCE)
    assert b"openinference.span.kind" in request([one])
