"""What real frameworks sent while they worked (tests/data/otlp), read as a tracer reads it: none of it is a loop."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from tests.tracking.ingest.recordings import CASES, spans_of
from tracking.ingest.contents import contents
from tracking.ingest.counting import count, facts
from wflo.loops import GATEWAY, INGEST, LoopMemory, LoopPolicy, Step, advance, llm_step, tool_step, verdict
from wflo.spans import Kind, Span, Status

SECOND = 10**9


def step_of(span: Span, agent: str) -> Step | None:
    said = contents({"attributes": span.attributes, "events": span.events}, convention=span.convention, kind=span.kind)
    has_failed = span.status is Status.ERROR
    times = {"started_ns": span.started_ns, "ended_ns": span.ended_ns or 0}
    if span.kind is Kind.LLM:
        return llm_step(said.input, said.output, agent=agent, model=span.model or "", has_failed=has_failed, **times)
    if span.kind is Kind.TOOL:
        asked, answered = said.input_text or None, said.output_text or None
        return tool_step(span.tool_name or "", asked, answered, agent=agent, is_error=has_failed, **times)
    return None


def steps_of(case: str) -> list[list[Step]]:
    """By run, the calls that count."""
    runs: dict[str, list[Span]] = defaultdict(list)
    for span in spans_of(case):
        runs[span.trace_id].append(span)
    found = []
    for run in runs.values():
        verdicts = count([facts(span) for span in run])
        told = [(span, verdicts[facts(span).span_id]) for span in sorted(run, key=lambda span: span.started_ns)]
        steps = [step_of(span, verdict.agent or "") for span, verdict in told if verdict.counted]
        found.append([step for step in steps if step is not None])
    return found


@pytest.mark.parametrize("policy", [INGEST, GATEWAY], ids=["ingest", "gateway"])
@pytest.mark.parametrize("case", CASES)
def test_no_recorded_run_is_a_loop(case: str, policy: LoopPolicy) -> None:
    runs = steps_of(case)
    assert sum(map(len, runs)) > 0
    for steps in runs:
        memory = LoopMemory()
        for step in steps:
            memory, found = advance(memory, step, policy)
            assert not found.is_loop, found.why


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_call_of_a_tool_made_again_and_again_is_one(case: str) -> None:
    """What the same recordings tell of a tool's call is enough to see it come again."""
    calls = [step for steps in steps_of(case) for step in steps if step.call is not None]
    for step in calls:
        again = [replace(step, started_ns=3 * n * SECOND, ended_ns=3 * n * SECOND + 1) for n in range(25)]
        assert verdict(again, INGEST).is_loop, step.name
