"""Every dialect, by small literal attribute sets: a row each of what emitters were seen to write."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.tracking.ingest.dialect_spans import CALL, LF, LLM, LS, ML, NODE, OI, OP, START_NS, TL, VA, read, span
from tracking.ingest.normalise import normalise
from wflo.spans import Kind, Status
from wflo.usage import Usage

KINDS = [
    *[({OI: name.upper()}, Kind(name)) for name in ("agent", "llm", "tool", "chain", "retriever", "embedding", "guardrail", "reranker", "evaluator")],
    ({OI: "llm"}, Kind.LLM),
    ({OI: "PROMPT"}, Kind.CHAIN),
    ({OI: "LLM", OP: "invoke_agent"}, Kind.AGENT),
    *[({OP: name}, Kind.AGENT) for name in ("invoke_agent", "create_agent")],
    *[({OP: name}, Kind.LLM) for name in ("chat", "Chat", "text_completion", "generate_content", "acompletion", "CHAT_MODEL")],
    ({OP: "execute_tool"}, Kind.TOOL),
    *[({OP: name}, Kind.CHAIN) for name in ("execute_task", "invoke_workflow", "execute_event_loop_cycle", "agent_step", "CHAIN", "handoff", "goto")],
    *[({OP: name}, Kind.EMBEDDING) for name in ("embeddings", "aembedding")],
    ({OP: "RETRIEVER"}, Kind.RETRIEVER),
    ({OP: "GUARDRAIL"}, Kind.GUARDRAIL),
    *[({TL: name, OP: "invoke_agent"}, kind) for name, kind in (("agent", Kind.AGENT), ("tool", Kind.TOOL), ("workflow", Kind.CHAIN), ("task", Kind.CHAIN))],
    *[({LF: name}, kind) for name, kind in (("generation", Kind.LLM), ("agent", Kind.AGENT), ("tool", Kind.TOOL), ("span", Kind.CHAIN), ("event", Kind.CHAIN), ("chain", Kind.CHAIN), ("retriever", Kind.RETRIEVER), ("embedding", Kind.EMBEDDING), ("guardrail", Kind.GUARDRAIL), ("evaluator", Kind.EVALUATOR))],
    *[({ML: f'"{name}"'}, kind) for name, kind in (("AGENT", Kind.AGENT), ("CHAT_MODEL", Kind.LLM), ("LLM", Kind.LLM), ("TOOL", Kind.TOOL), ("CHAIN", Kind.CHAIN), ("UNKNOWN", Kind.CHAIN), ("RETRIEVER", Kind.RETRIEVER), ("EMBEDDING", Kind.EMBEDDING), ("GUARDRAIL", Kind.GUARDRAIL), ("RERANKER", Kind.RERANKER))],
    *[({VA: name}, kind) for name, kind in (("ai.generateText", Kind.CHAIN), ("ai.generateText.doGenerate", Kind.LLM), ("ai.streamText.doStream", Kind.LLM), ("ai.streamObject.doStream", Kind.LLM), ("ai.toolCall", Kind.TOOL), ("ai.embed", Kind.CHAIN), ("ai.embedMany.doEmbed", Kind.EMBEDDING))],
    *[({LS: name, OP: op}, kind) for name, op, kind in (("llm", "chat", Kind.LLM), ("tool", "execute_tool", Kind.TOOL), ("chain", "chain", Kind.CHAIN), ("retriever", "embeddings", Kind.RETRIEVER))],
    ({"llm.request.type": "chat", "llm.usage.total_tokens": 3}, Kind.LLM),
    ({"llm.token_count.prompt": 3, "llm.output_messages.0.message.role": "assistant"}, Kind.LLM),
    ({"llm.request.type": "embedding"}, Kind.EMBEDDING),
    ({"llm.provider": "openai", "llm.model": "gpt-4o"}, Kind.LLM),
    ({"tool.success": True, "tool.name": "add"}, Kind.TOOL),
    ({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 3}, Kind.LLM),
    ({"messaging.operation": "publish"}, Kind.CHAIN),
    ({"http.request.method": "POST"}, Kind.CHAIN),
    ({}, Kind.CHAIN),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "kind"), KINDS)
def test_the_kind_is_read_in_every_dialect(attributes: dict[str, Any], kind: Kind) -> None:
    assert read(attributes).kind is kind


@pytest.mark.parametrize(
    ("words", "is_error"),
    [
        ("Command(graph='boss:1', update={}, goto='writer')", False),
        ("Exception: ParentCommand(Command(graph='__parent__', update={}))", False),
        ("langgraph.errors.ParentCommand: Command(graph='boss:1')", False),
        ("GraphInterrupt((Interrupt(value='sure?', id='1'),))", False),
        ("(Interrupt(value='sure?', id='1'),)", False),
        ("ValueError: no Command(graph='x')", True),
        ("Interrupted", True),
    ],
)
def test_what_langgraph_raises_to_go_elsewhere_is_no_failure(words: str, is_error: bool) -> None:
    got = read({TL: "task"}, status=Status.ERROR, error=words)
    assert (got.status is Status.ERROR, got.error) == (is_error, words if is_error else None)


def test_embeddings_that_langfuse_marks_as_generations_are_embeddings() -> None:
    assert read({LF: "generation"}, name="OpenAI.embeddings").kind is Kind.EMBEDDING


MODELS = [
    ({**CALL, "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.provider.name": "OpenAI"},
     ("gpt-4o-2024-08-06", "gpt-4o", "openai")),
    ({**CALL, "gen_ai.request.model": "gpt-4o", "gen_ai.system": "openai"}, ("gpt-4o", "gpt-4o", "openai")),
    ({**CALL, "gen_ai.request.model": "gpt-4o", "gen_ai.system": "", "gen_ai.response.model": "None"}, ("gpt-4o", "gpt-4o", None)),
    ({**CALL, "gen_ai.request.model": "claude-4", "gen_ai.provider.name": "aws.bedrock"}, ("claude-4", "claude-4", "aws.bedrock")),
    ({**LLM, "llm.model_name": "openai/gpt-4o", "llm.provider": "litellm"}, ("gpt-4o", None, "openai")),
    ({**LLM, "llm.model_name": "meta-llama/Llama-3", "llm.system": "groq"}, ("meta-llama/Llama-3", None, "groq")),
    ({**LLM, "llm.model_name": "openrouter/anthropic/claude-4"}, ("anthropic/claude-4", None, "openrouter")),
    ({**LLM, "llm.model_name": "gpt-4o-2024-08-06", "llm.invocation_parameters": '{"model": "gpt-4o"}'}, ("gpt-4o-2024-08-06", "gpt-4o", None)),
    ({**LLM, "llm.invocation_parameters": '{"model": "gpt-4o"}', "llm.system": "openai"}, ("gpt-4o", "gpt-4o", "openai")),
    ({OI: "EMBEDDING", "embedding.model_name": "text-embedding-3-small"}, ("text-embedding-3-small", None, None)),
    ({LF: "generation", "langfuse.observation.model.name": "gpt-4o-2024-08-06", "langfuse.observation.metadata.ls_provider": '"openai"',
      "langfuse.observation.metadata.ls_model_name": '"gpt-4o"'}, ("gpt-4o-2024-08-06", "gpt-4o", "openai")),
    ({ML: '"CHAT_MODEL"', "model": '"gpt-4o"', "mlflow.llm.model": '"gpt-4o-2024-08-06"', "mlflow.llm.provider": '"openai"'},
     ("gpt-4o-2024-08-06", "gpt-4o", "openai")),
    ({VA: "ai.generateText.doGenerate", "ai.model.id": "gpt-4o", "ai.response.model": "gpt-4o-2024-08-06", "ai.model.provider": "openai.chat"},
     ("gpt-4o-2024-08-06", "gpt-4o", "openai")),
    ({"llm.provider": "anthropic", "llm.model": "anthropic/claude-4"}, ("claude-4", "claude-4", "anthropic")),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "want"), MODELS)
def test_model_and_provider_are_read_without_the_router_before_them(
    attributes: dict[str, Any], want: tuple[str | None, ...]
) -> None:
    got = read(attributes)
    assert (got.model, got.requested_model, got.provider) == want


AGENTS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({OP: "invoke_agent", "gen_ai.agent.name": "researcher"}, {}, "researcher"),
    ({OP: "invoke_agent"}, {"name": "invoke_agent researcher"}, "researcher"),
    ({OP: "invoke_agent", "gen_ai.request.model": "gpt-4o"}, {"name": "invoke_agent gpt-4o"}, None),
    ({OP: "chat", "agent_name": "researcher"}, {}, "researcher"),
    ({OP: "chat", "gen_ai.agent.name": "inner", "baggage_conflict.gen_ai.agent.name": "outer"}, {}, "inner"),
    ({OP: "invoke_workflow", "gen_ai.agent.name": "newsroom"}, {}, None),
    ({OP: "invoke_swarm", "gen_ai.agent.name": "swarm"}, {}, None),
    ({OP: "invoke_agent", "gen_ai.agent.name": "newsroom", "gen_ai.workflow.nodes": ["researcher", "writer"]}, {}, None),
    ({OP: "invoke_agent", "gen_ai.agent.name": "researcher", "gen_ai.workflow.nodes": ["model", "tools"]}, {}, "researcher"),
    ({OP: "chat", "traceloop.association.properties.lc_agent_name": "researcher"}, {}, "researcher"),
    ({TL: "task", "traceloop.entity.name": "researcher", "traceloop.association.properties.lc_agent_name": "researcher"}, {}, "researcher"),
    ({TL: "workflow", "traceloop.entity.name": "newsroom", OP: "invoke_agent", "gen_ai.agent.name": "newsroom"}, {}, None),
    ({TL: "agent", "crewai.agent.role": "Researcher"}, {}, "Researcher"),
    ({TL: "agent", "traceloop.entity.name": "researcher"}, {}, "researcher"),
    ({OI: "AGENT", "agent.name": "researcher", "graph.node.id": "0a1b2c3d4e5f60718293"}, {}, "researcher"),
    ({OI: "AGENT", "graph.node.id": "researcher"}, {}, "researcher"),
    ({OI: "AGENT", "graph.node.name": "researcher", "graph.node.id": "0a1b2c3d4e5f60718293"}, {}, "researcher"),
    ({OI: "AGENT"}, {"name": "Researcher.research._execute_core"}, "Researcher"),
    ({OI: "AGENT", "graph.node.id": " Researcher\n"}, {}, "Researcher"),
    ({OI: "AGENT"}, {"name": "researcher.run", "scope": "openinference.instrumentation.smolagents"}, "researcher"),
    ({OI: "AGENT"}, {"name": "writer.on_messages_stream"}, "writer"),
    ({OI: "AGENT"}, {"name": "agent_run [writer]"}, "writer"),
    ({OI: "AGENT"}, {"name": "newsroom", "scope": "openinference.instrumentation.openai_agents"}, None),
    ({OI: "AGENT", "graph.node.id": "writer"}, {"scope": "openinference.instrumentation.openai_agents"}, "writer"),
    ({OI: "CHAIN", "metadata": '{"lc_agent_name": "researcher"}'}, {}, "researcher"),
    ({OI: "LLM", "gen_ai.agent.name": "researcher"}, {}, "researcher"),
    ({OI: "LLM", "metadata": json.dumps(NODE)}, {}, "boss"),
    ({OI: "AGENT", "metadata": json.dumps(NODE)}, {"name": "agent"}, "boss"),
    ({OI: "AGENT", "metadata": '{"langgraph_node": "writer"}'}, {"name": "call_agent"}, None),
    ({OI: "AGENT", "metadata": '{"langgraph_node": "my_agent"}'}, {"name": "my_agent"}, "my_agent"),
    ({LF: "generation", **{f"langfuse.observation.metadata.{key}": json.dumps(value) for key, value in NODE.items()}}, {}, "boss"),
    ({LS: "llm", OP: "chat", **{f"langsmith.metadata.{key}": value for key, value in NODE.items()}}, {}, "boss"),
    ({TL: "task", **{f"traceloop.association.properties.{key}": value for key, value in NODE.items()}}, {}, "boss"),
    ({ML: '"CHAT_MODEL"', "metadata": json.dumps(NODE)}, {}, "boss"),
    ({OI: "CHAIN", "input.value": "{\"ev\": \"AgentSetup(input=[], current_agent_name='writer')\"}"},
     {"name": "AgentWorkflow.run_agent_step", "scope": "openinference.instrumentation.llama_index"}, "writer"),
    ({LF: "agent"}, {"name": "researcher"}, "researcher"),
    ({LF: "generation", "langfuse.observation.metadata.lc_agent_name": '"researcher"'}, {}, "researcher"),
    ({ML: '"AGENT"'}, {"name": "researcher"}, "researcher"),
    ({ML: '"AGENT"', "name": '"researcher"'}, {"name": "Agent.run_sync"}, "researcher"),
    ({ML: '"AGENT"', "name": '"None"'}, {"name": "ToolCallingAgent.run"}, "ToolCallingAgent"),
    ({ML: '"AGENT"'}, {"name": "AgentRunner.run"}, None),
    ({OP: "invoke_agent", "gen_ai.agent.name": "AgentRunner.run"}, {"scope": "mlflow.tracing.provider"}, None),
    ({OP: "invoke_agent"}, {"name": "invoke_agent finalize", "scope": "openlit.instrumentation.crewai"}, None),
    ({OP: "invoke_agent", "gen_ai.agent.name": "model"}, {"scope": "openlit.instrumentation.langgraph"}, None),
    ({OP: "invoke_agent", "gen_ai.agent.name": "writer"}, {"scope": "openlit.instrumentation.langgraph"}, "writer"),
    ({ML: '"CHAT_MODEL"', "metadata": '{"lc_agent_name": "researcher"}'}, {}, "researcher"),
    ({OP: "chat", "metadata": '{"lc_agent_name": "researcher"}'}, {"scope": "mlflow.tracing.provider"}, "researcher"),
    ({VA: "ai.generateText", "ai.telemetry.functionId": "researcher"}, {}, "researcher"),
    ({LS: "chain", OP: "chain", "langsmith.metadata.lc_agent_name": "researcher"}, {}, "researcher"),
    ({"logfire.msg_template": "Agent run: {name!r}", "name": "researcher"}, {"scope": "logfire.openai_agents"}, "researcher"),
    ({"logfire.msg_template": "Turn {turn} for agent x", "agent_name": "researcher"}, {"scope": "logfire.openai_agents"}, "researcher"),
    ({OP: "invoke_agent", "gen_ai.agent.name": "[Scrubbed due to 'session']"}, {"name": "invoke_agent"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "fields", "agent"), AGENTS)
def test_an_agent_is_named_by_what_its_dialect_calls_it(
    attributes: dict[str, Any], fields: dict[str, Any], agent: str | None
) -> None:
    assert read(attributes, **fields).agent == agent


TOOLS: list[tuple[dict[str, Any], dict[str, Any], tuple[str, str | None]]] = [
    ({OP: "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call_1"}, {}, ("search", "call_1")),
    ({OP: "execute_tool"}, {"name": "execute_tool search"}, ("search", None)),
    ({OI: "TOOL", "tool.name": "search", "tool.id": "call_1"}, {"name": "SimpleTool"}, ("search", "call_1")),
    ({OI: "TOOL"}, {"name": "search"}, ("search", None)),
    ({OI: "TOOL"}, {"name": "search.__call__"}, ("search", None)),
    ({LF: "tool", "langfuse.observation.metadata.tool_call_id": '"call_1"'}, {"name": "search"}, ("search", "call_1")),
    ({ML: '"TOOL"'}, {"name": "search"}, ("search", None)),
    ({VA: "ai.toolCall", "ai.toolCall.name": "search", "ai.toolCall.id": "call_1"}, {}, ("search", "call_1")),
    ({TL: "tool", "traceloop.entity.name": "search", OP: "execute_tool"}, {"name": "x"}, ("search", None)),
    (
        {"logfire.msg_template": "Function: {name}", "name": "search"},
        {"scope": "logfire.openai_agents"},
        ("search", None),
    ),
    ({"tool.success": True, "tool.name": "search"}, {}, ("search", None)),
]


@pytest.mark.parametrize(("attributes", "fields", "want"), TOOLS)
def test_a_tool_is_named_and_tied_to_the_call_that_asked_for_it(
    attributes: dict[str, Any], fields: dict[str, Any], want: tuple[str, str | None]
) -> None:
    got = read(attributes, **fields)
    assert (got.kind, got.tool_name, got.tool_call_id) == (Kind.TOOL, *want)


def test_a_model_call_that_names_the_tools_it_asked_for_is_no_tool() -> None:
    got = read({OP: "chat", "gen_ai.tool.name": "search, fetch"}, scope="openlit.instrumentation.openai")
    assert (got.kind, got.tool_name, got.convention) == (Kind.LLM, None, "openlit")


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({OI: "TOOL"}, {"name": "handoff to writer"}),
        ({OI: "TOOL", "tool.name": "handoff"}, {"scope": "openinference.instrumentation.llama_index"}),
        ({OP: "handoff", "gen_ai.handoff.to_agent": "writer"}, {}),
        ({"logfire.msg_template": "Handoff: {from_agent} → {to_agent}"}, {"scope": "logfire.openai_agents"}),
        ({OP: "execute_tool", "gen_ai.tool.name": "(merged tools)"}, {}),
    ],
)
def test_handing_over_and_merging_run_no_tool(attributes: dict[str, Any], fields: dict[str, Any]) -> None:
    assert read(attributes, **fields).kind is Kind.CHAIN


def test_preparing_a_call_is_no_call() -> None:
    scope = "openinference.instrumentation.llama_index"
    assert read({OI: "LLM"}, name="OpenAILike._prepare_chat_with_tools", scope=scope).kind is Kind.CHAIN
    assert read({OI: "LLM"}, name="LM.__call__").kind is Kind.LLM


@pytest.mark.parametrize(
    "attributes",
    [
        {OP: "invoke_agent", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1},
        {OP: "invoke_agent", "gen_ai.aggregated_usage.input_tokens": 9, "gen_ai.aggregated_usage.output_tokens": 1},
        {OI: "AGENT", "llm.token_count.prompt": 9, "llm.token_count.completion": 1},
        {VA: "ai.generateText", "ai.usage.inputTokens": 9, "ai.usage.outputTokens": 1},
        {TL: "agent", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1},
        {"ag2.usage.kind": "x", OP: "chat", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1},
    ],
)
def test_usage_that_repeats_calls_below_is_marked_as_such(attributes: dict[str, Any]) -> None:
    got = read(attributes)
    assert got.usage == Usage(input_tokens=9, output_tokens=1)
    assert got.is_aggregate
    assert got.kind not in (Kind.LLM, Kind.EMBEDDING)


def test_declaring_an_agent_is_no_work_of_its() -> None:
    got = read({OP: "create_agent", "gen_ai.agent.name": "writer"})
    assert (got.kind, got.agent, got.is_declaration) == (Kind.AGENT, "writer", True)


@pytest.mark.parametrize(
    ("attributes", "cost"),
    [
        ({**CALL, "operation.cost": 0.00214875}, "0.00214875"),
        ({**CALL, "gen_ai.usage.cost": 0}, None),
        ({**CALL, "gen_ai.cost.total_cost": 7.039999999999999e-05}, "0.00007039999999999999"),
        ({**LLM, "llm.cost.total": "0.01"}, "0.01"),
        ({LF: "generation", "langfuse.observation.cost_details": '{"total": 0}'}, None),
        ({LF: "generation", "langfuse.observation.cost_details": '{"input": 0.1, "total": 0.25}'}, "0.25"),
        ({"llm.provider": "openai", "llm.cost.usd": 0.5}, "0.5"),
    ],
)
def test_an_emitters_own_cost_is_kept_and_zero_is_unknown(attributes: dict[str, Any], cost: str | None) -> None:
    assert read(attributes).reported_cost_usd == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({**CALL, "gen_ai.response.finish_reasons": ["tool_call"]}, "tool_calls"),
        ({**CALL, "gen_ai.response.finish_reasons": '["tool_calls"]'}, "tool_calls"),
        ({**CALL, "anthropic.message.stop_reason": "tool_use"}, "tool_calls"),
        ({**LLM, "llm.finish_reason": "end_turn"}, "stop"),
        ({VA: "ai.generateText.doGenerate", "ai.response.finishReason": "tool-calls"}, "tool_calls"),
        ({**CALL, "gen_ai.response.finish_reasons": []}, None),
        ({**CALL, "gen_ai.response.finish_reason": "FinishReason.TOOL_CALLS"}, "tool_calls"),
        ({**CALL, "gen_ai.response.finish_reasons": ["max_tokens"]}, "length"),
    ],
)
def test_a_finish_reason_has_one_word_for_all_providers(attributes: dict[str, Any], reason: str | None) -> None:
    assert read(attributes).finish_reason == reason


@pytest.mark.parametrize(
    ("attributes", "session", "user"),
    [
        ({**CALL, "session.id": "s", "user.id": "u"}, "s", "u"),
        ({**CALL, "gen_ai.conversation.id": "s", "enduser.id": "u"}, "s", "u"),
        ({**CALL, "gen_ai.user": "u"}, None, "u"),
        ({**CALL, "llm.user": "u", "gen_ai.request.user": ""}, None, "u"),
        ({**CALL, "traceloop.association.properties.session_id": "s", "traceloop.association.properties.user_id": "u"}, "s", "u"),
        ({OI: "CHAIN", "metadata": '{"thread_id": "s", "user_id": "u"}'}, "s", "u"),
        ({**LLM, "llm.invocation_parameters": '{"metadata": {"user_id": "u"}}'}, None, "u"),
        ({VA: "ai.embed", "ai.telemetry.metadata.sessionId": "s", "ai.telemetry.metadata.userId": "u"}, "s", "u"),
        ({LS: "chain", OP: "chain", "langsmith.metadata.thread_id": "s", "langsmith.trace.session_id": "a-project"}, "s", None),
        ({LF: "span", "session.id": "s", "user.id": "u"}, "s", "u"),
        ({**CALL, "session.id": "[Scrubbed due to 'session']"}, None, None),
        ({"logfire.msg_template": "x", "group_id": "s"}, None, None),
    ],
)  # fmt: skip
def test_session_and_user_are_found_where_each_emitter_puts_them(
    attributes: dict[str, Any], session: str | None, user: str | None
) -> None:
    got = read(attributes)
    assert (got.session_id, got.user_id) == (session, user)


def test_environment_and_release_come_from_the_resource_unless_the_span_says() -> None:
    resource = {"deployment.environment.name": "live", "service.version": "1.2"}
    got = read(dict(CALL), resource=resource)
    assert (got.environment, got.release) == ("live", "1.2")
    got = read({LF: "span", "langfuse.environment": "trial", "langfuse.release": "2"}, resource=resource)
    assert (got.environment, got.release) == ("trial", "2")


def test_tags_and_metadata_of_the_root_are_kept() -> None:
    got = read({LF: "span", "langfuse.trace.tags": ["a", "b"], "langfuse.trace.metadata.team": '"news"'})
    assert (got.tags, got.metadata) == (("a", "b"), {"team": "news"})
    got = read({OI: "CHAIN", "tag.tags": '["a"]', "metadata": '{"team": "news"}'})
    assert (got.tags, got.metadata) == (("a",), {"team": "news"})
    got = read({TL: "workflow", "traceloop.association.properties.team": "news"})
    assert got.metadata == {"team": "news"}


EXCEPTION = {"name": "exception", "attributes": {"exception.type": "ValueError", "exception.message": "offline"}}
FAILURES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({**CALL}, {"error": "429"}, "429"),
    ({**CALL}, {"events": [EXCEPTION]}, "ValueError: offline"),
    ({**CALL, "error.type": "RateLimitError"}, {}, "RateLimitError"),
    ({**CALL, "gen_ai.framework.error.message": "broke"}, {}, "broke"),
    ({**LLM}, {"error": "ValueError('x')Traceback (most recent call last):\n  File"}, "ValueError('x')"),
    ({"logfire.msg_template": "Function: {name}", "error": '{"message": "Error", "data": {"error": "offline"}}'}, {"scope": "logfire.openai_agents"}, "offline"),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "fields", "words"), FAILURES)
def test_a_failure_says_why(attributes: dict[str, Any], fields: dict[str, Any], words: str) -> None:
    assert read(attributes, status=Status.ERROR, **fields).error == words


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (
            {LF: "generation", "langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "429"},
            "429",
        ),
        ({"tool.success": False, "tool.name": "add", "tool.error": "no"}, "no"),
    ],
)
def test_a_failure_without_an_error_status_is_one_all_the_same(attributes: dict[str, Any], words: str) -> None:
    got = read(attributes)
    assert (got.status, got.error) == (Status.ERROR, words)


def _at(name: str) -> dict[str, Any]:
    return {"events": [{"name": name, "time_ns": START_NS + 50_000_000, "attributes": {}}]}


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({**CALL, "gen_ai.response.time_to_first_chunk": 0.05}, {}),
        ({**CALL, "gen_ai.client.operation.time_to_first_chunk": 0.05}, {}),
        ({**CALL, "gen_ai.server.time_to_first_token": 0.05}, {"scope": "openlit.instrumentation.openai"}),
        ({**CALL, "gen_ai.server.time_to_first_token": 50}, {"scope": "strands.telemetry.tracer"}),
        ({VA: "ai.streamText.doStream", "ai.response.msToFirstChunk": 50}, {}),
        ({**LLM}, _at("First Token Stream Event")),
        ({**CALL}, _at("gen_ai.content.completion.chunk")),
        ({ML: '"CHAT_MODEL"'}, _at("mlflow.chunk.item.0")),
        ({LF: "generation", "langfuse.observation.completion_start_time": '"2026-09-21T14:13:20.050000Z"'}, {}),
    ],
)
def test_the_first_token_is_timed_in_milliseconds(attributes: dict[str, Any], fields: dict[str, Any]) -> None:
    got = read(attributes, **fields)
    assert got.first_token_ms == pytest.approx(50)


@pytest.mark.parametrize(
    ("attributes", "identity"),
    [
        ({**CALL, "gen_ai.response.id": "msg_1"}, "msg_1"),
        ({**LLM, "output.value": '{"id":"msg_1","content":[]}'}, "msg_1"),
        ({**LLM, "output.value": '{"choices": [{"id": "x"}]}'}, None),
        ({VA: "ai.generateText.doGenerate", "ai.response.id": "msg_1"}, "msg_1"),
        ({ML: '"CHAT_MODEL"', "mlflow.spanOutputs": '{"id": "msg_1", "choices": []}'}, "msg_1"),
    ],
)
def test_the_providers_own_id_is_found(attributes: dict[str, Any], identity: str | None) -> None:
    assert read(attributes).response_id == identity


def test_litellm_tells_cached_tokens_only_in_a_python_repr() -> None:
    told = "{'completion_tokens': 5, 'prompt_tokens_details': {'cached_tokens': 7}, 'cache_creation_input_tokens': 2}"
    attributes = {
        OP: "acompletion",
        "metadata.usage_object": told,
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 5,
    }
    got = read({**attributes, "gen_ai.agent.name": ""}, scope="litellm")
    assert got.usage == Usage(input_tokens=9, output_tokens=5, cached_tokens=7, cache_write_tokens=2)
    assert (got.convention, got.agent) == ("litellm", None)


def test_logfires_template_gives_way_to_the_text() -> None:
    attributes = {"logfire.msg_template": "Agent run: {name!r}", "logfire.msg": "Agent run: 'writer'", "name": "writer"}
    assert read(attributes, name="Agent run: {name!r}", scope="logfire.openai_agents").name == "Agent run: 'writer'"
    assert read({OP: "chat", "logfire.msg": "chat"}, name="chat gpt-4o", scope="pydantic-ai").name == "chat gpt-4o"


def test_our_own_events_come_filled_and_stay_so() -> None:
    native = span({OP: "chat"}, convention="wflo", kind=Kind.TOOL, agent="writer")
    kept, _ = normalise([native])
    assert (kept[0].kind, kept[0].agent) == (Kind.TOOL, "writer")


@pytest.mark.parametrize("key", [OI, LF, ML, LS, TL, OP, VA, "llm.request.type", "llm.provider"])
@pytest.mark.parametrize(
    "value",
    ["", "🙃", 7, None, True, [], {"a": 1}, "\ud800", "x" * 70_000, [10**5000], float("nan")],
)
def test_no_value_of_a_deciding_attribute_breaks_the_reading(key: str, value: Any) -> None:
    attributes = {key: value, "metadata": value, "gen_ai.agent.name": value, "llm.invocation_parameters": value}
    assert read({**attributes, "langfuse.observation.usage_details": value, "input.value": value}).kind in Kind
