"""Tokens in every dialect: what emitters wrote, as inclusive buckets, and the figures that cannot be true."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tracking.ingest.dialect_spans import CALL, LF, LLM, LS, ML, OI, OP, REASONING, VA, read, refused, span
from tracking.ingest.normalise import normalise
from wflo.usage import Usage

USAGES: list[tuple[dict[str, Any], Usage | None]] = [
    ({**CALL, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2}, Usage(input_tokens=10, output_tokens=2)),
    ({**CALL, "gen_ai.usage.prompt_tokens": "10", "gen_ai.usage.completion_tokens": 2.0}, Usage(input_tokens=10, output_tokens=2)),
    (
        {**CALL, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4,
         "gen_ai.usage.cache_creation.input_tokens": 3, "gen_ai.usage.reasoning.output_tokens": 2},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2),
    ),
    (
        {**CALL, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read_input_tokens": 4,
         "gen_ai.usage.cache_write.input_tokens": 3, "gen_ai.usage.reasoning_tokens": 2,
         "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 1},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4, cache_write_tokens=3, cache_write_1h_tokens=1, reasoning_tokens=2),
    ),
    (
        {**CALL, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.details.cache_read_tokens": 4,
         "gen_ai.usage.details.cache_write_tokens": 3, "gen_ai.usage.details.reasoning_tokens": 2},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2),
    ),
    (
        {**CALL, "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 5,
         "gen_ai.usage.raw": '{"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":2}}'},
        Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2),
    ),
    (
        {LS: "llm", OP: "chat", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 5,
         "gen_ai.usage.input_token_details": '{"cache_read": 4}', "gen_ai.usage.output_token_details": '{"reasoning": 2}'},
        Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2),
    ),
    (
        {**LLM, "llm.token_count.prompt": 10, "llm.token_count.completion": 5, "llm.token_count.prompt_details.cache_read": 4,
         "llm.token_count.prompt_details.cache_write": 3, "llm.token_count.completion_details.reasoning": 2,
         "llm.token_count.prompt_details.audio": 1},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2, audio_input_tokens=1),
    ),
    ({**LLM, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2}, Usage(input_tokens=10, output_tokens=2)),
    (
        {LF: "generation", "langfuse.observation.usage_details":
         '{"input": 124, "output": 30, "total": 420, "input_cache_read": 208, "output_reasoning": 58, "input_audio": 0}'},
        Usage(input_tokens=332, output_tokens=88, cached_tokens=208, reasoning_tokens=58),
    ),
    (
        {LF: "generation", "langfuse.observation.usage_details":
         '{"input": 8, "output": 41, "total": 117, "input_cached_tokens": 4, "output_reasoning_tokens": 64}'},
        Usage(input_tokens=12, output_tokens=105, cached_tokens=4, reasoning_tokens=64),
    ),
    (
        {**LLM, "llm.token_count.prompt": 10, "llm.token_count.completion": 5, "ai.usage.inputTokens": 10,
         "ai.usage.outputTokens": 5, "ai.usage.cachedInputTokens": 4},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4),
    ),
    ({OI: "EMBEDDING", "ai.usage.tokens": 7}, Usage(input_tokens=7)),
    (
        {**LLM, "llm.token_count.prompt": 514, "llm.token_count.completion": 29,
         "metadata.usage.cached_prompt_tokens": "336", "metadata.usage.cached_creation_tokens": "0"},
        Usage(input_tokens=514, output_tokens=29, cached_tokens=336, cache_write_tokens=0),
    ),
    (
        {**LLM, "llm.token_count.prompt": 10, "llm.token_count.completion": 5, "gen_ai.usage.input_tokens": 10,
         "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4, REASONING: 2},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2),
    ),
    (
        {LF: "generation", "langfuse.observation.usage_details":
         '{"input": 100, "output": 30, "input_cache_read": 200, "input_cache_creation": 50, "output_reasoning": 10}'},
        Usage(input_tokens=350, output_tokens=40, cached_tokens=200, cache_write_tokens=50, reasoning_tokens=10),
    ),
    (
        {LF: "generation", "langfuse.observation.usage_details":
         '{"input": 100, "output": 30, "total": 390, "input_cache_read": 200, "input_ephemeral_5m_input_tokens": 60}'},
        Usage(input_tokens=360, output_tokens=30, cached_tokens=200, cache_write_tokens=60),
    ),
    (
        {LF: "generation", "langfuse.observation.usage_details":
         '{"prompt_tokens": 316, "completion_tokens": 82, "total_tokens": 398, "prompt_tokens_details.cached_tokens": 208,'
         ' "completion_tokens_details": {"reasoning_tokens": 64}}'},
        Usage(input_tokens=316, output_tokens=82, cached_tokens=208, reasoning_tokens=64),
    ),
    (
        {LF: "generation", "langfuse.observation.usage_details":
         '{"input_tokens": 9, "output_tokens": 30, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 50}'},
        Usage(input_tokens=259, output_tokens=30, cached_tokens=200, cache_write_tokens=50),
    ),
    (
        {LS: "llm", **CALL, "gen_ai.usage.input_tokens": 394, "gen_ai.usage.output_tokens": 46,
         "langsmith.metadata.usage_metadata":
         '{"input_tokens": 394, "output_tokens": 46, "output_token_details": {"reasoning": 6}, "input_token_details":'
         ' {"cache_read": 197, "cache_creation": 0, "ephemeral_5m_input_tokens": 49, "ephemeral_1h_input_tokens": 0}}'},
        Usage(input_tokens=394, output_tokens=46, cached_tokens=197, cache_write_tokens=49, reasoning_tokens=6),
    ),
    (
        {ML: '"CHAT_MODEL"', "mlflow.chat.tokenUsage":
         '{"input_tokens": 50, "output_tokens": 105, "total_tokens": 155, "cache_read_input_tokens": 20}',
         "mlflow.spanOutputs": '{"usage": {"completion_tokens_details": {"reasoning_tokens": 64}}}'},
        Usage(input_tokens=50, output_tokens=105, cached_tokens=20, reasoning_tokens=64),
    ),
    (
        {ML: '"EMBEDDING"', "mlflow.spanOutputs": '{"data": [], "usage": {"prompt_tokens": 18, "total_tokens": 18}}'},
        Usage(input_tokens=18),
    ),
    (
        {VA: "ai.generateText.doGenerate", "ai.usage.promptTokens": 10, "ai.usage.completionTokens": 5,
         "ai.usage.cachedInputTokens": 4, "ai.usage.reasoningTokens": 2},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2),
    ),
    (
        {VA: "ai.streamText.doStream", "ai.usage.inputTokens": 10, "ai.usage.outputTokens": 5,
         "ai.usage.inputTokenDetails.cacheReadTokens": 4, "ai.usage.inputTokenDetails.cacheWriteTokens": 3,
         "ai.usage.outputTokenDetails.reasoningTokens": 2},
        Usage(input_tokens=10, output_tokens=5, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2),
    ),
    ({VA: "ai.embed.doEmbed", "ai.usage.tokens": 7}, Usage(input_tokens=7)),
    (
        {"llm.provider": "openai", "llm.tokens.prompt": 10, "llm.tokens.completion": 5, "llm.tokens.total": 15},
        Usage(input_tokens=10, output_tokens=5),
    ),
    ({"llm.request.type": "chat", "llm.usage.prompt_tokens": 10, "gen_ai.usage.completion_tokens": 5}, Usage(input_tokens=10, output_tokens=5)),
    # Figures that show themselves to be exclusive parts are added up.
    (
        {**CALL, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 90},
        Usage(input_tokens=100, output_tokens=5, cached_tokens=90),
    ),
    (
        {**CALL, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.reasoning_tokens": 3,
         "gen_ai.usage.total_tokens": 18},
        Usage(input_tokens=10, output_tokens=8, reasoning_tokens=3),
    ),
    # Unknown is not nothing.
    (CALL, None),
    ({**CALL, "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}, None),
    ({**CALL, "gen_ai.usage.input_tokens": "", "gen_ai.usage.output_tokens": "None"}, None),
    ({LF: "generation", "langfuse.observation.usage_details": '{"input": 0, "output": 0, "total": 0}'}, None),
    ({LF: "generation", "langfuse.observation.usage_details": "not json"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "usage"), USAGES)
def test_usage_is_inclusive_whatever_the_dialect_writes(attributes: dict[str, Any], usage: Usage | None) -> None:
    got = read(attributes)
    assert got.usage == usage
    assert not got.is_aggregate


def test_thoughts_that_google_adk_adds_twice_come_off_again() -> None:
    told = {**CALL, "gen_ai.usage.input_tokens": 36, "gen_ai.usage.output_tokens": 156, REASONING: 64}
    for provider, output in (("openai", 92), ("gcp.gemini", 156)):
        got = read({**told, "gen_ai.provider.name": provider}, scope="gcp.vertex.agent")
        assert got.usage == Usage(input_tokens=36, output_tokens=output, reasoning_tokens=64)


@pytest.mark.parametrize(("alone", "read_from_cache"), [(6, 2), (6, 200)])
def test_openlit_leaves_cached_tokens_out_of_anthropics_input(alone: int, read_from_cache: int) -> None:
    parts = {"gen_ai.usage.cache_read.input_tokens": read_from_cache, "gen_ai.usage.cache_creation.input_tokens": 1}
    told = {**CALL, "gen_ai.usage.input_tokens": alone, "gen_ai.usage.output_tokens": 5, **parts}
    got = read(told, scope="openlit.instrumentation.anthropic")
    whole = alone + read_from_cache + 1
    assert got.usage == Usage(input_tokens=whole, output_tokens=5, cached_tokens=read_from_cache, cache_write_tokens=1)


WRONG = [
    ({**CALL, "gen_ai.usage.input_tokens": -1}, "gen_ai.usage.input_tokens"),
    ({**CALL, "gen_ai.usage.input_tokens": 1.5}, "gen_ai.usage.input_tokens"),
    ({**CALL, "gen_ai.usage.output_tokens": float("nan")}, "gen_ai.usage.output_tokens"),
    ({**CALL, "gen_ai.usage.output_tokens": float("inf")}, "gen_ai.usage.output_tokens"),
    ({**CALL, "gen_ai.usage.output_tokens": 2**63}, "gen_ai.usage.output_tokens"),
    ({**CALL, "gen_ai.usage.output_tokens": 10**5000}, "gen_ai.usage.output_tokens"),
    ({**CALL, "gen_ai.usage.output_tokens": "many"}, "gen_ai.usage.output_tokens"),
    ({**CALL, "gen_ai.usage.output_tokens": True}, "gen_ai.usage.output_tokens"),
    ({**CALL, "gen_ai.usage.output_tokens": [1]}, "gen_ai.usage.output_tokens"),
    ({**CALL, "gen_ai.usage.cost": -0.1}, "gen_ai.usage.cost"),
    ({**CALL, "gen_ai.usage.cost": "free"}, "gen_ai.usage.cost"),
    ({**CALL, "operation.cost": float("nan")}, "operation.cost"),
    ({**CALL, "operation.cost": 1e9}, "operation.cost"),
    ({**CALL, "operation.cost": 10**5000}, "operation.cost"),
    ({**LLM, "llm.token_count.prompt": -3}, "llm.token_count.prompt"),
    (
        {LF: "generation", "langfuse.observation.usage_details": '{"input": -1}'},
        "langfuse.observation.usage_details: input",
    ),
    (
        {LF: "generation", "langfuse.observation.cost_details": '{"total": -1}'},
        "langfuse.observation.cost_details: total",
    ),
    ({ML: '"LLM"', "mlflow.chat.tokenUsage": '{"input_tokens": 0.5}'}, "mlflow.chat.tokenUsage: input_tokens"),
    ({VA: "ai.generateText.doGenerate", "ai.usage.inputTokens": -1}, "ai.usage.inputTokens"),
]


@pytest.mark.parametrize(("attributes", "named"), WRONG)
def test_a_figure_that_cannot_be_true_refuses_its_span_and_names_the_attribute(
    attributes: dict[str, Any], named: str
) -> None:
    code, message = refused(attributes)
    assert code in ("bad_tokens", "bad_cost")
    assert message.startswith(named + " ")
    assert len(message) < 200


def test_a_refused_span_leaves_its_neighbours() -> None:
    good, bad = span(dict(CALL)), span({**CALL, "gen_ai.usage.input_tokens": -1})
    kept, rejected = normalise([good, bad, good])
    assert (len(kept), [one.index for one in rejected]) == (2, [1])
