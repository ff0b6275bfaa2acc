"""Seventeen recorded agents: calls, tokens, tools and agents as they were served, less exactly what was never sent.

What a recording cannot show stands in tests/data/otlp/shortfalls.json, with the reason.
"""

from __future__ import annotations

import random

import pytest

from tests.tracking.ingest.recordings import (
    BUCKETS,
    CASES,
    SHORTFALLS,
    expected,
    model_of,
    raw_spans,
    seen,
    spans_of,
)
from tracking.ingest.clean import clean_all
from tracking.ingest.normalise import normalise
from wflo.spans import Kind, Status

RECEIVED_NS = 1_795_305_600 * 10**9  # 2026-11-22, two days after they were recorded


def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 17
    assert set(SHORTFALLS) <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_each_call_is_counted_once_with_the_tokens_that_were_served(case: str) -> None:
    want, lacks = expected(case), SHORTFALLS.get(case, {}).get("models", {})
    got = seen(spans_of(case))

    for by_model in want["by_model"].values():
        name = by_model["response_model"].split("-2026-")[0]
        served = {bucket: by_model[field] for bucket, field in BUCKETS.items()}
        if name.startswith("claude"):  # Anthropic's own input leaves cached tokens out; ours are inclusive
            served["input"] += served["cache_read"] + served["cache_write"]
        less = lacks.get(name, {})
        assert {bucket: got.tokens[name][bucket] for bucket in BUCKETS} == {
            bucket: count - less.get(bucket, 0) for bucket, count in served.items()
        }
        assert got.calls[name] == by_model["calls"] - less.get("calls", 0)
    assert set(got.calls) <= {model["response_model"].split("-2026-")[0] for model in want["by_model"].values()}
    assert got.failed == want["llm_calls_failed"]
    assert got.embeddings == want["embedding_calls"] - SHORTFALLS.get(case, {}).get("embeddings", 0)


@pytest.mark.parametrize("case", CASES)
def test_totals_are_the_canonical_ones(case: str) -> None:
    want, lacks = expected(case)["canonical_totals"], SHORTFALLS.get(case, {}).get("models", {})
    got = seen(spans_of(case))

    for bucket in BUCKETS:
        less = sum(model.get(bucket, 0) for model in lacks.values())
        assert sum(model[bucket] for model in got.tokens.values()) == want[bucket] - less


@pytest.mark.parametrize("case", CASES)
def test_each_tool_that_ran_is_counted_once_with_its_errors(case: str) -> None:
    missing = SHORTFALLS.get(case, {}).get("tools", [])
    ran = {
        name: [tool["calls"], tool["errors"]]
        for name, tool in expected(case)["tools_executed"].items()
        if name not in missing
    }

    assert seen(spans_of(case)).tools == ran


@pytest.mark.parametrize("case", CASES)
def test_every_agent_is_known_by_its_name_and_nothing_else_is_one(case: str) -> None:
    missing = SHORTFALLS.get(case, {}).get("agents", [])

    assert seen(spans_of(case)).agents == set(expected(case)["agents"]) - set(missing)


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_spans_changes_nothing(case: str) -> None:
    spans = spans_of(case)
    want = seen(spans)
    for seed in range(3):
        random.Random(seed).shuffle(spans)
        assert seen(spans) == want


@pytest.mark.parametrize("case", CASES)
def test_cleaning_leaves_a_healthy_payload_as_it_is(case: str) -> None:
    spans, untouched = raw_spans(case), raw_spans(case)
    kept, rejected = clean_all(spans, received_ns=RECEIVED_NS)

    assert (kept, rejected) == (untouched, [])


@pytest.mark.parametrize("case", CASES)
def test_every_call_that_answered_names_its_model_and_every_failure_says_why(case: str) -> None:
    for span in spans_of(case):
        if span.kind is Kind.LLM:
            assert model_of(span)
        if span.status is Status.ERROR and span.convention != "none":
            assert span.error


def test_sessions_users_tags_and_surroundings_are_read() -> None:
    first = next(span for span in spans_of("langgraph-openinference") if span.parent_id is None)
    assert (first.session_id, first.user_id, first.tags) == ("session-7", "user-42", ("demo",))
    assert first.environment == "test"
    assert first.metadata is not None
    assert first.metadata["team"] == "news"

    sessions = {
        (span.session_id, span.user_id) for span in spans_of("vercel_ai-json") if span.convention == "vercel-ai"
    }
    assert sessions == {("session-7", "user-42")}


def test_a_scrubbed_session_is_no_session() -> None:
    assert {span.session_id for span in spans_of("openai_agents-logfire")} == {None}


def test_a_first_token_is_timed_where_an_emitter_marks_it() -> None:
    streams = ["langgraph-langfuse", "mlflow-sdk", "openai-traceloop", "openai-openinference", "vercel_ai7-proto"]
    for case in streams:
        times = [span.first_token_ms for span in spans_of(case) if span.kind is Kind.LLM and span.first_token_ms]
        assert times
        assert all(0 < time < 10_000 for time in times)


def test_a_span_is_read_the_same_after_it_was_cleaned() -> None:
    spans, _ = clean_all(raw_spans("pydantic_ai-native"), received_ns=RECEIVED_NS)
    read, _ = normalise(spans)
    assert seen(read) == seen(spans_of("pydantic_ai-native"))
