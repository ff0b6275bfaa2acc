"""Which spans are real calls, and whose. Trees are written as rows: (id, parent, kind, ...)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.ingest.counting import SpanFacts, Verdict, count
from wflo.spans import Kind

MS = 1_000_000


def fact(span_id: int, parent_id: int | None = None, kind: Kind = Kind.LLM, **fields: Any) -> SpanFacts:
    began = fields.pop("at", span_id) * MS
    took = fields.pop("took", 1_000) * MS
    tokens = fields.pop("tokens", None)
    values: dict[str, Any] = {
        "convention": "openinference",
        "own_agent": None,
        "tool_name": None,
        "model": "gpt-4o",
        "input_tokens": tokens,
        "output_tokens": tokens,
        "call_key": None,
        "is_error": False,
        "is_aggregate": False,
        "is_declaration": False,
        **fields,
    }
    return SpanFacts(span_id=span_id, parent_id=parent_id, kind=kind, started_ns=began, ended_ns=began + took, **values)


def counted(*spans: SpanFacts) -> list[int]:
    return sorted(span_id for span_id, verdict in count(spans).items() if verdict.counted)


def test_of_nested_reports_the_innermost_that_knows_its_tokens_counts() -> None:
    assert counted(fact(1, tokens=5), fact(2, 1, tokens=5)) == [2]
    assert counted(fact(1, tokens=5), fact(2, 1)) == [1]
    assert counted(fact(1), fact(2, 1, tokens=5)) == [2]
    assert counted(fact(1, tokens=5), fact(2, 1, tokens=5), fact(3, 2, tokens=5)) == [3]
    assert counted(fact(1, tokens=5), fact(2, 1, tokens=5), fact(3, 2)) == [2]


def test_of_nested_reports_that_know_nothing_the_outermost_counts() -> None:
    assert counted(fact(1), fact(2, 1), fact(3, 2)) == [1]
    assert counted(fact(1, is_error=True), fact(2, 1, is_error=True)) == [1]


def test_chains_between_two_reports_of_one_call_do_not_part_them() -> None:
    assert counted(fact(1, tokens=5), fact(2, 1, Kind.CHAIN), fact(3, 2, tokens=5)) == [3]


@pytest.mark.parametrize("between", [Kind.TOOL, Kind.AGENT, Kind.RETRIEVER, Kind.GUARDRAIL])
def test_a_call_below_a_tool_or_agent_of_a_call_is_another_call(between: Kind) -> None:
    spans = (fact(1, tokens=5), fact(2, 1, between, model=None), fact(3, 2, tokens=7))
    assert {1, 3} <= set(counted(*spans))


def test_a_failed_attempt_beside_one_that_answered_is_a_call_too() -> None:
    wrapper = fact(1, tokens=5)
    assert counted(wrapper, fact(2, 1, is_error=True, took=5), fact(3, 1, tokens=5, at=100)) == [2, 3]


def test_siblings_with_one_response_id_are_one_call() -> None:
    both = [fact(1, tokens=5, call_key=9), fact(2, tokens=6, call_key=9, convention="openllmetry")]
    assert counted(*both) == [1]
    assert counted(fact(1, call_key=9), fact(2, tokens=6, call_key=9)) == [2]


def test_one_response_id_drawn_twice_at_different_times_is_two_calls() -> None:
    assert counted(fact(1, tokens=5, call_key=9, took=10), fact(2, tokens=8, call_key=9, at=5_000)) == [1, 2]
    assert counted(fact(1, tokens=5, call_key=9, took=10), fact(2, tokens=5, call_key=9, at=5_000)) == [1, 2]
    later = fact(2, tokens=5, call_key=9, at=5_000, convention="logfire")
    assert counted(fact(1, tokens=5, call_key=9, took=10), later) == [1]


def test_siblings_without_an_id_are_one_call_when_model_tokens_and_time_agree() -> None:
    sdk = {"convention": "anthropic-sdk", "call_key": 4}
    assert counted(fact(1, tokens=5), fact(2, tokens=5, **sdk)) == [2]
    assert counted(fact(1, tokens=5), fact(2, tokens=5, model="gpt-5", **sdk)) == [1, 2]
    assert counted(fact(1, tokens=5), fact(2, tokens=6, **sdk)) == [1, 2]
    assert counted(fact(1, tokens=5, took=10), fact(2, tokens=5, at=9_000, **sdk)) == [1, 2]
    assert counted(fact(1, 8, tokens=5), fact(2, 9, tokens=5, **sdk)) == [1, 2]
    asked, answered = {"model": "gpt-4o"}, {"model": "gpt-4o-2024-08-06"}
    assert counted(fact(1, tokens=5, **asked), fact(2, tokens=5, **answered, **sdk)) == [2]


def test_siblings_with_different_response_ids_are_two_calls_however_alike() -> None:
    ours, theirs = fact(1, tokens=5, call_key=3), fact(2, tokens=5, call_key=4, convention="anthropic-sdk")
    assert counted(ours, theirs) == [1, 2]


def test_a_failed_call_told_by_two_libraries_is_one_failed_call() -> None:
    other = {"convention": "anthropic-sdk", "is_error": True}
    assert len(counted(fact(1, is_error=True), fact(2, **other))) == 1
    assert counted(fact(1, is_error=True), fact(2, at=100, **other)) == [1, 2]
    assert counted(fact(1), fact(2, **other)) == [1, 2]


def test_like_calls_side_by_side_from_one_library_are_all_calls() -> None:
    assert counted(*(fact(n, tokens=5, at=0) for n in range(1, 6))) == [1, 2, 3, 4, 5]
    assert counted(*(fact(n, is_error=True, at=0) for n in range(1, 4))) == [1, 2, 3]


def test_parallel_calls_told_twice_are_paired_one_to_one() -> None:
    ours = [fact(n, tokens=5, at=n) for n in range(1, 6)]
    theirs = [fact(n + 10, tokens=5, at=n + 1, convention="anthropic-sdk", call_key=n) for n in range(1, 6)]
    assert counted(*ours, *theirs) == [11, 12, 13, 14, 15]


def test_agents_chains_and_declarations_are_no_calls() -> None:
    assert counted(
        fact(1, None, Kind.AGENT, tokens=9, is_aggregate=True),
        fact(2, 1, tokens=5),
        fact(3, 1, Kind.CHAIN, tokens=9, is_aggregate=True),
        fact(4, None, Kind.AGENT, is_declaration=True),
    ) == [2]


def test_an_agents_sum_is_used_when_no_call_of_the_run_knows_its_tokens() -> None:
    verdicts = count(
        [
            fact(1, None, Kind.AGENT, tokens=9, is_aggregate=True, own_agent="boss"),
            fact(2, 1, Kind.AGENT, tokens=4, is_aggregate=True),
            fact(3, 2),
            fact(4, None, Kind.CHAIN, tokens=9, is_aggregate=True, convention="ag2-accounting"),
        ]
    )
    assert verdicts[1] == Verdict("boss", True, True)
    assert [verdicts[n].counted for n in (2, 3, 4)] == [False, True, False]


def test_embeddings_are_counted_apart_and_do_not_hide_agents_sums() -> None:
    spans = [fact(1, None, Kind.AGENT, tokens=9, is_aggregate=True), fact(2, 1, Kind.EMBEDDING, tokens=3)]
    assert counted(*spans, fact(3, 2, Kind.EMBEDDING, tokens=3)) == [1, 3]


def test_a_tool_told_twice_ran_once_and_a_tool_inside_a_tool_ran_too() -> None:
    outer = fact(1, None, Kind.TOOL, tool_name="search")
    assert counted(outer, fact(2, 1, Kind.TOOL, tool_name="search")) == [1]
    assert counted(outer, fact(2, 1, Kind.TOOL, tool_name="fetch")) == [1, 2]
    assert counted(outer, fact(2, 1, Kind.AGENT), fact(3, 2, Kind.TOOL, tool_name="search")) == [1, 3]
    twice = [fact(n, None, Kind.TOOL, tool_name="search", call_key=7, at=n) for n in (1, 2)]
    assert counted(*twice) == [1]


def test_of_a_tool_told_twice_the_report_that_failed_counts() -> None:
    caught = [
        fact(1, kind=Kind.TOOL, tool_name="search"),
        fact(2, 1, kind=Kind.TOOL, tool_name="search", is_error=True),
    ]
    assert counted(*caught) == [2]
    assert counted(caught[0], fact(2, 1, kind=Kind.TOOL, tool_name="search")) == [1]


def test_tools_side_by_side_whose_ids_a_server_numbers_alike_are_all_runs() -> None:
    both = [fact(n, None, Kind.TOOL, tool_name=name, call_key=7, at=1) for n, name in ((1, "search"), (2, "fetch"))]
    assert counted(*both) == [1, 2]


def test_a_tool_run_again_for_the_same_request_ran_twice() -> None:
    again = [fact(n, None, Kind.TOOL, tool_name="search", call_key=7, at=n * 5_000) for n in (1, 2)]
    assert counted(*again) == [1, 2]


def test_calls_of_our_own_gateway_are_all_calls_though_a_server_names_all_its_answers_alike() -> None:
    both = [fact(n, None, call_key=7, at=1, tokens=4, convention="wflo-gateway") for n in (1, 2)]
    assert counted(*both) == [1, 2]
    assert counted(both[0], fact(2, None, call_key=7, at=1, tokens=4)) in ([1], [2]), "told by a program's library too"


def test_a_step_belongs_to_the_nearest_agent_above_it() -> None:
    verdicts = count(
        [
            fact(1, None, Kind.AGENT, own_agent="writer"),
            fact(2, 1, Kind.TOOL, tool_name="ask"),
            fact(3, 2, Kind.AGENT, own_agent="researcher"),
            fact(4, 3, Kind.CHAIN),
            fact(5, 4, tokens=1),
            fact(6, 1, tokens=1),
            fact(7, 99, tokens=1),
            fact(8, 99, tokens=1, own_agent="editor"),
        ]
    )
    agents = {span_id: verdict.agent for span_id, verdict in verdicts.items()}
    assert agents == {
        1: "writer", 2: "writer", 3: "researcher", 4: "researcher", 5: "researcher", 6: "writer", 7: None, 8: "editor",
    }  # fmt: skip


def test_own_parents_and_circles_end_and_give_one_answer() -> None:
    """I33"""
    spans = [
        fact(1, 1, Kind.AGENT, own_agent="self"),
        fact(2, 3, Kind.CHAIN),
        fact(3, 4, tokens=5),
        fact(4, 2, Kind.AGENT, own_agent="round"),
        fact(5, 2, tokens=5),
    ]
    want = count(spans)
    for seed in range(10):
        random.Random(seed).shuffle(spans)
        assert count(spans) == want
    assert want[1].agent == "self"


def test_a_chain_of_fifty_thousand_spans_is_walked_without_recursion() -> None:
    deep = [fact(n, n - 1 if n > 1 else None, Kind.CHAIN if n % 2 else Kind.LLM) for n in range(1, 50_001)]
    deep[-1] = deep[-1]._replace(input_tokens=3)
    random.Random(0).shuffle(deep)
    assert counted(*deep) == [50_000]


spans_of_a_run = st.lists(
    st.builds(
        lambda parent, kind, tokens, key, convention, at, took, agent, is_error, is_aggregate: (
            parent, kind, tokens, key, convention, at, took, agent, is_error, is_aggregate,
        ),
        st.integers(0, 14),
        st.sampled_from([Kind.LLM, Kind.LLM, Kind.AGENT, Kind.TOOL, Kind.CHAIN, Kind.EMBEDDING]),
        st.sampled_from([None, 3, 5]),
        st.sampled_from([None, None, 1, 2]),
        st.sampled_from(["openinference", "anthropic-sdk", "openllmetry"]),
        st.integers(0, 200),
        st.integers(0, 100),
        st.sampled_from([None, None, "a", "b"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=14,
)  # fmt: skip


@given(spans_of_a_run, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_no_order_of_spans_changes_a_verdict(rows: list[tuple[Any, ...]], order: random.Random) -> None:
    spans = [
        fact(
            n + 1, row[0] or None, row[1], tokens=row[2], call_key=row[3], convention=row[4], at=row[5], took=row[6],
            own_agent=row[7], is_error=row[8], is_aggregate=row[9] and row[1] is not Kind.LLM,
            tool_name="search" if row[1] is Kind.TOOL else None,
        )
        for n, row in enumerate(rows)
    ]  # fmt: skip
    want = count(spans)
    shuffled = list(spans)
    order.shuffle(shuffled)

    assert count(shuffled) == want
    assert set(want) == {span.span_id for span in spans}
    _holds(spans, want)


def _holds(spans: list[SpanFacts], verdicts: dict[int, Verdict]) -> None:
    known = [span for span in spans if span.kind is Kind.LLM and span.is_known]
    counted_known = [span for span in known if verdicts[span.span_id].counted]
    assert bool(known) == bool(counted_known)  # of reports that know tokens, at least one counts
    for span in spans:
        verdict = verdicts[span.span_id]
        if verdict.is_aggregate_used:
            assert not known
        elif verdict.counted:
            assert span.kind in (Kind.LLM, Kind.EMBEDDING, Kind.TOOL)
        if span.own_agent:
            assert verdict.agent == span.own_agent
