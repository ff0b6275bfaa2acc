"""The labelled runs of tests/data/loops: how many loops are found, how soon, and who is alarmed about nothing.

The figures are those reached; a change that makes one worse fails here, one that makes one better is written down here.
"""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from tests import loop_figures
from tests.loop_figures import HARD, PLAYS, alarmed, figures, judged, missed
from tests.loop_scripts import BY_RULE, written
from tests.loop_traces import FOLDER, traces
from wflo.loops import Action

# Loops that the rule does not see, and honest runs that it takes for loops: docs/loops.md says why.
UNSEEN = {
    "cycle-of-five",
    "empty-searches-in-new-words",
    "field-greps-one-file",
    "group-goodbyes-in-other-words",
    "hard-creates-the-same-again",
    "hard-open-and-close",
}
TAKEN_FOR_LOOPS = {"later-courier", "later-db-lock", "waits-opponent"}
# At a gateway the first repeat of a request is a loop.
TAKEN_AT_A_GATEWAY = TAKEN_FOR_LOOPS | {"batch-with-a-double-item"}


def test_there_are_enough_of_both_kinds_and_of_both_hands() -> None:
    every = traces()
    names = Counter(trace.name for trace in every)
    assert [name for name, times in names.items() if times > 1] == []
    kinds = Counter((trace.is_loop, trace.is_by_hand) for trace in every)
    assert sum(trace.is_loop for trace in every) >= 40
    assert sum(not trace.is_loop for trace in every) >= 60
    assert min(kinds.values()) >= 30
    frameworks = {trace.framework for trace in every}
    assert {"langgraph", "crewai", "autogen", "openai-agents", "claude-code", "langchain", "pydantic-ai"} <= frameworks


@pytest.mark.parametrize("family", BY_RULE)
def test_the_traces_by_rule_are_what_the_rule_writes(family: str) -> None:
    path = FOLDER / f"{family.replace('_', '-')}.json"
    assert path.read_text() == written(family), "write them anew: python -m tests.loop_scripts"


@pytest.mark.parametrize(("policy", "door"), PLAYS)
def test_precision_and_recall_are_those_reached(policy: str, door: str, capsys: pytest.CaptureFixture[str]) -> None:
    """B38, B39"""
    known = {one.trace.name for one in judged(policy, door)}
    wrong = TAKEN_FOR_LOOPS if policy == "ingest" else TAKEN_AT_A_GATEWAY
    assert set(missed(policy, door)) == UNSEEN & known
    assert set(alarmed(policy, door)) == wrong & known
    found = figures(judged(policy, door))
    assert found.recall >= 0.93
    assert found.precision >= 0.95
    with capsys.disabled():
        report = next(line for line in loop_figures.report().splitlines() if line.split()[:2] == [policy, door])
        print(f"\n{report}")  # noqa: T201


@pytest.mark.parametrize(("policy", "door"), PLAYS)
def test_honest_runs_alarm_nobody_but_where_it_is_known(policy: str, door: str) -> None:
    """B39: Polling, heartbeats, pages, batches, samples, retries, talks, teams: precision is 1."""
    honest = [one for one in judged(policy, door) if not one.trace.is_loop and one.trace.family != HARD]
    assert len(honest) >= 130
    assert [one.trace.name for one in honest if one.seen is not None] == []


@pytest.mark.parametrize(("policy", "door"), PLAYS)
def test_a_loop_is_told_soon_after_a_person_would_have_told_it(policy: str, door: str) -> None:
    delays = figures(judged(policy, door)).delays
    assert median(delays) <= 1
    assert sum(delay <= 1 for delay in delays) >= 0.93 * len(delays)
    late = {one.trace.name: one.seen.delay for one in judged(policy, door) if one.seen and one.seen.delay > 3}
    assert set(late) <= {"failing-request-for-ever", "hard-stuck-poll", "hard-stuck-poll-with-sleep"}


def test_what_is_told_of_a_loop_says_what_it_is() -> None:
    for one in judged("gateway", "chat"):
        if one.seen is None:
            continue
        verdict = one.seen.verdict
        assert verdict.action is (Action.KILL if verdict.confidence >= 0.95 else Action.WARN)
        assert verdict.pattern, one.trace.name
        assert verdict.times >= 2
        assert 1 <= verdict.first_step <= verdict.step
        assert verdict.why.endswith(".")
        assert verdict.burned_usd is not None


def test_the_page_of_figures_is_up_to_date() -> None:
    assert loop_figures.PAGE.read_text() == loop_figures.page(), "write it anew: python -m tests.loop_figures"
