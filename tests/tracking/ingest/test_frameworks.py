"""Whole runs of frameworks, as small trees in the shapes they write: each call once, each step under its agent."""

from __future__ import annotations

from typing import Any

from tracking.ingest.counting import count, facts
from tracking.ingest.normalise import normalise
from wflo.spans import Kind, Span, Status

MS = 1_000_000
START_NS = 1_790_000_000 * 10**9
OI, OP, TL = "openinference.span.kind", "gen_ai.operation.name", "traceloop.span.kind"


class Tree:
    """A run under construction: ``add`` answers the span's number, for use as a parent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def add(self, name: str, parent: int | None, attributes: dict[str, Any], **fields: Any) -> int:
        number = len(self.spans) + 1
        begins = START_NS + fields.pop("at", number * 100) * MS
        self.spans.append(
            Span(
                trace_id="1" * 32,
                span_id=f"{number:016x}",
                parent_id=None if parent is None else f"{parent:016x}",
                name=name,
                attributes=attributes,
                started_ns=begins,
                ended_ns=begins + fields.pop("took", 90) * MS,
                **fields,
            )
        )
        return number

    def sums(self) -> tuple[int, int, int, dict[str | None, int]]:
        """Calls, input tokens, tools run, and input tokens by agent."""
        spans, rejected = normalise(self.spans)
        assert not rejected
        verdicts = count([facts(span) for span in spans])
        calls = tokens = tools = 0
        by_agent: dict[str | None, int] = {}
        for span in spans:
            verdict = verdicts[facts(span).span_id]
            if not verdict.counted:
                continue
            calls += span.kind is Kind.LLM
            tools += span.kind is Kind.TOOL
            used = span.usage.input_tokens or 0 if span.usage else 0
            tokens += used
            if used:
                by_agent[verdict.agent] = by_agent.get(verdict.agent, 0) + used
        return calls, tokens, tools, by_agent


def gen(operation: str, tokens: int | None = None, **attributes: Any) -> dict[str, Any]:
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    usage = {} if tokens is None else {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 1}
    return {OP: operation, **usage, **named}


def infer(kind: str, tokens: int | None = None, **attributes: Any) -> dict[str, Any]:
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    usage = {} if tokens is None else {"llm.token_count.prompt": tokens, "llm.token_count.completion": 1}
    return {OI: kind, **usage, **named}


def test_strands_sums_its_calls_on_the_agent_and_the_cycle() -> None:
    tree = Tree()
    agent = tree.add("invoke_agent researcher", None, gen("invoke_agent", 30, gen_ai__agent__name="researcher"))
    for _ in range(2):
        cycle = tree.add("execute_event_loop_cycle", agent, gen("execute_event_loop_cycle"))
        tree.add("chat", cycle, gen("chat", 15, gen_ai__system="strands-agents", gen_ai__request__model="gpt-4o"))
        tree.add("execute_tool search", cycle, gen("execute_tool", gen_ai__tool__name="search"))
    assert tree.sums() == (2, 30, 2, {"researcher": 30})
    assert tree.spans[2].provider is None


def test_smolagents_with_a_managed_agent() -> None:
    tree, scope = Tree(), "openinference.instrumentation.smolagents"
    boss = tree.add("CodeAgent.run", None, infer("AGENT", 30), scope=scope)
    step = tree.add("Step 1", boss, infer("CHAIN"), scope=scope)
    tree.add("OpenAIServerModel.generate", step, infer("LLM", 10), scope=scope)
    helper = tree.add("researcher.run", step, infer("AGENT", 20), scope=scope)
    model = tree.add("OpenAIServerModel.generate", helper, infer("LLM", 20), scope=scope)
    tree.add("ChatCompletion", model, infer("LLM", 20), scope="openinference.instrumentation.openai")
    tree.add("SimpleTool", helper, infer("TOOL", tool__name="search"), scope=scope)
    assert tree.sums() == (2, 30, 1, {"CodeAgent": 10, "researcher": 20})


def test_openai_agents_hand_over_to_siblings_below_a_root_that_is_no_agent() -> None:
    tree, scope = Tree(), "openinference.instrumentation.openai_agents"
    root = tree.add("newsroom", None, infer("AGENT"), scope=scope)
    first = tree.add("researcher", root, infer("AGENT", graph__node__id="researcher"), scope=scope)
    tree.add("response", first, infer("LLM", 10), scope=scope)
    tree.add("handoff to writer", first, infer("TOOL"), scope=scope)
    second = tree.add(
        "writer", root, infer("AGENT", graph__node__id="writer", graph__node__parent_id="researcher"), scope=scope
    )
    tree.add("response", second, infer("LLM", 20), scope=scope)
    assert tree.sums() == (2, 30, 0, {"researcher": 10, "writer": 20})


def test_an_event_that_beeai_writes_as_a_span_of_its_agent_is_no_agent() -> None:
    tree, scope = Tree(), "openinference.instrumentation.beeai"
    root = tree.add("writer", None, {**infer("AGENT"), "metadata.class_name": "RequirementAgent"}, scope=scope)
    tree.add("OpenAIChatModel", root, infer("LLM", 10, metadata__class_name="OpenAIChatModel"), scope=scope)
    told = infer("AGENT", metadata__path="agent.requirement.final_answer")
    event = tree.add("final_answer", root, told, scope=scope)
    assert tree.sums() == (1, 10, 0, {"writer": 10})
    assert tree.spans[event - 1].agent is None


def test_the_agents_sdk_in_otels_own_instrumentation_names_its_agents_on_their_spans_alone() -> None:
    tree, scope, anyone = Tree(), "opentelemetry.instrumentation.openai_agents", {"gen_ai.agent.name": "OpenAI Agent"}
    root = tree.add("Agent workflow", None, gen("invoke_agent"), scope=scope)
    task = tree.add("unknown", root, {**gen("unknown"), **anyone}, scope=scope)
    agent = tree.add("invoke_agent writer", task, gen("invoke_agent", gen_ai__agent__name="writer"), scope=scope)
    turn = tree.add("unknown", agent, {**gen("unknown"), **anyone}, scope=scope)
    tree.add("chat gpt-4o", turn, {**gen("chat", 10), **anyone}, scope=scope)
    assert tree.sums() == (1, 10, 0, {"writer": 10})
    assert {span.agent for span in tree.spans} == {None, "writer"}


def test_dspy_over_litellm_over_the_sdk() -> None:
    tree = Tree()
    predict = tree.add("Predict.forward", None, infer("CHAIN"))
    model = tree.add("LM.__call__", predict, infer("LLM", llm__model_name="openai/gpt-4o"))
    adapter = tree.add("completion", model, infer("LLM", 10, llm__model_name="openai/gpt-4o"))
    tree.add("ChatCompletion", adapter, infer("LLM", 10, llm__model_name="gpt-4o-2024-08-06"))
    tree.add("LM.__call__", predict, infer("LLM"))
    assert tree.sums() == (2, 10, 0, {None: 10})


def test_below_a_programs_span_litellm_leaves_of_each_call_what_the_provider_answered() -> None:
    tree = Tree()
    written = {**gen("chat", 2, gen_ai__request__model="gpt-4o"), "litellm.call_id": "c3"}
    app = tree.add("app", None, written, scope="app")
    told = "{'completion_tokens': 5, 'prompt_tokens': 10, 'prompt_tokens_details': {'cached_tokens': 4}}"
    first = {"llm.openai.model": "gpt-4o-2024-08-06", "llm.openai.id": "r1", "llm.openai.usage": told}
    tree.add("raw_gen_ai_request", app, {**first, "llm.openai.choices": "[]"}, scope="litellm")
    told = "{'input_tokens': 10, 'cache_creation_input_tokens': 9, 'cache_read_input_tokens': 1, 'output_tokens': 46}"
    second = {"llm.anthropic.model": "claude-4", "llm.anthropic.content": "[]", "llm.anthropic.usage": told}
    tree.add("raw_gen_ai_request", app, second, scope="litellm")
    tree.add("raw_gen_ai_request", app, {}, scope="litellm")
    tree.add("raw_gen_ai_request", app, {"llm.None.model": "text-embedding", "llm.None.input": "[]"}, scope="litellm")
    assert tree.sums() == (3, 30, 0, {None: 30})
    assert [span.provider for span in tree.spans[1:3]] == ["openai", "anthropic"]

    tree = Tree()
    request = tree.add("litellm_request", None, {**gen("acompletion", 10), "litellm.call_id": "c1"}, scope="litellm")
    tree.add("raw_gen_ai_request", request, first, scope="litellm")
    assert tree.sums() == (1, 10, 0, {None: 10})


def test_crewai_under_openllmetry() -> None:
    tree = Tree()
    crew = tree.add("crewai.workflow", None, {TL: "workflow"})
    task = tree.add("Research.task", crew, {TL: "task", **gen("invoke_agent")})
    agent = tree.add(
        "Researcher.agent", task, {TL: "agent", **gen("invoke_agent", 10, gen_ai__agent__name="Researcher")}
    )
    wrapper = tree.add("gpt-4o.llm", agent, gen("chat", 10, gen_ai__request__model="gpt-4o"))
    tree.add("openai.chat", wrapper, gen("chat", 10, gen_ai__request__model="gpt-4o", gen_ai__response__id="r1"))
    assert tree.sums() == (1, 10, 0, {"Researcher": 10})


def test_a_crew_under_openllmetry_is_no_agent_and_knows_the_sum_of_its_calls() -> None:
    tree = Tree()
    told = "total_tokens=15 prompt_tokens=12 cached_prompt_tokens=4 completion_tokens=3 reasoning_tokens=0"
    crew = {"crewai.crew.id": "1", "crewai.crew.token_usage": told}
    root = tree.add("crewai.workflow", None, {**gen("invoke_agent"), **crew})
    task = tree.add("Research.task", root, {TL: "task", **gen("invoke_agent")})
    agent = tree.add("Researcher.agent", task, {TL: "agent", **gen("invoke_agent", gen_ai__agent__name="Researcher")})
    assert tree.sums() == (0, 12, 0, {None: 12})

    tree.add("openai.chat", agent, gen("chat", 12, gen_ai__request__model="gpt-4o"))
    assert tree.sums() == (1, 12, 0, {"Researcher": 12})


def test_llama_index_under_openllmetry_says_in_its_steps_who_worked_and_what_ran() -> None:
    tree, scope, output = Tree(), "opentelemetry.instrumentation.llamaindex", "traceloop.entity.output"
    flow = tree.add("AgentWorkflow.workflow", None, {TL: "workflow"}, scope=scope)
    step = {TL: "task", output: '{"response": {}, "current_agent_name": "researcher"}'}
    asking = tree.add("AgentWorkflow.task", flow, step, scope=scope)
    tree.add("openai.chat", asking, gen("chat", 10))
    ran = '{"tool_name": "search", "tool_id": "c1", "tool_output": {"blocks": [{"text": "gone"}], "is_error": true}}'
    tool = tree.add("AgentWorkflow.task", flow, {TL: "task", "tool.name": "search", output: ran}, scope=scope)
    tree.add("FunctionTool.task", tool, {TL: "task"}, scope=scope)
    tree.add("AgentWorkflow.task", flow, {TL: "task", "tool.name": "handoff", output: "{}"}, scope=scope)
    embed = {TL: "task", **gen("embeddings", gen_ai__request__model="text-embedding-3-small")}
    tree.add("OpenAIEmbedding.task", flow, embed, scope=scope)
    assert tree.sums() == (1, 10, 1, {"researcher": 10})
    ended = tree.spans[tool - 1]
    assert (ended.status, ended.error, ended.tool_call_id) == (Status.ERROR, "gone", "c1")
    assert tree.spans[-1].kind is Kind.EMBEDDING


def test_langgraph_under_openllmetry_has_an_empty_agent_beside_the_task_that_works() -> None:
    tree, tied = Tree(), {"traceloop.association.properties.lc_agent_name": "researcher"}
    nodes = {"gen_ai.workflow.nodes": ["__start__", "researcher"]}
    graph = tree.add("invoke_agent newsroom", None, {**gen("invoke_agent", gen_ai__agent__name="newsroom"), **nodes})
    flow = tree.add("newsroom.workflow", graph, {TL: "workflow", **gen("invoke_agent", gen_ai__agent__name="newsroom")})
    node = tree.add("execute_task researcher", flow, {TL: "task", "traceloop.entity.name": "researcher"})
    tree.add("invoke_agent researcher", node, gen("invoke_agent", gen_ai__agent__name="researcher"))
    task = tree.add("execute_task researcher", node, {TL: "task", "traceloop.entity.name": "researcher", **tied})
    tree.add("ChatOpenAI.chat", task, {**gen("chat", 10), **tied})
    tree.add("execute_tool search", task, {TL: "tool", **gen("execute_tool", gen_ai__tool__name="search"), **tied})
    assert tree.sums() == (1, 10, 1, {"researcher": 10})
    assert {span.agent for span in tree.spans} == {None, "researcher"}


def test_a_call_of_the_responses_api_is_told_by_openllmetrys_langchain_and_its_openai_side_by_side() -> None:
    tree, home = Tree(), "opentelemetry.instrumentation."
    node = tree.add("execute_task model", None, {TL: "task"}, scope=home + "langchain")
    asked, answered = {"gen_ai.request.model": "gpt-4o"}, {"gen_ai.response.model": "gpt-4o-2024-08-06"}
    tree.add("ChatOpenAI.chat", node, {**gen("chat", 36), **asked}, at=500, scope=home + "langchain")
    tree.add(
        "openai.response",
        node,
        {**gen("chat", 36), **asked, **answered, "gen_ai.response.id": "resp_1"},
        at=510,
        took=70,
        scope=home + "openai.v1",
    )
    assert tree.sums()[:2] == (1, 36)


def test_autogen_told_by_three_libraries() -> None:
    tree = Tree()
    process = tree.add("autogen process researcher", None, {"messaging.operation": "process"})
    outer = tree.add("researcher.on_messages_stream", process, infer("AGENT", graph__node__id="researcher"))
    agent = tree.add("invoke_agent researcher", outer, gen("invoke_agent", gen_ai__agent__name="researcher"))
    model = tree.add("OpenAIChatCompletionClient.create", agent, infer("LLM", 10))
    tree.add("ChatCompletion", model, infer("LLM", 10))
    stream = tree.add("OpenAIChatCompletionClient.create_stream", agent, infer("LLM"))
    tree.add("ChatCompletion", stream, infer("LLM"))
    tool = tree.add("researcher.search", agent, infer("TOOL", tool__name="search"))
    tree.add("execute_tool search", tool, gen("execute_tool", gen_ai__tool__name="search", gen_ai__tool__call__id="c1"))
    assert tree.sums() == (2, 10, 1, {"researcher": 10})


def test_two_anthropic_libraries_side_by_side_with_a_stream_that_counts_a_token_too_many() -> None:
    tree = Tree()
    root = tree.add("app", None, {})
    call = {"gen_ai.request.model": "claude-4", "gen_ai.response.id": "msg_1"}
    stream = gen("chat", 10)
    loud = {**stream, **call, "gen_ai.usage.output_tokens": 6}
    tree.add("anthropic.chat", root, loud, at=500, scope="opentelemetry.instrumentation.anthropic")
    tree.add(
        "anthropic.messages.create",
        root,
        {**stream, **call, "gen_ai.usage.output_tokens": 5},
        at=501,
        scope="com.anthropic.sdk.python",
    )
    failed = {"gen_ai.request.model": "claude-4"}
    tree.add(
        "anthropic.chat",
        root,
        {**gen("chat"), **failed},
        at=700,
        scope="opentelemetry.instrumentation.anthropic",
        status=Status.ERROR,
    )
    tree.add(
        "anthropic.messages.create",
        root,
        {**gen("chat"), **failed},
        at=703,
        scope="com.anthropic.sdk.python",
        status=Status.ERROR,
    )
    assert tree.sums() == (2, 10, 0, {None: 10})
    verdicts = count([facts(span) for span in tree.spans])
    assert [number for number, verdict in sorted(verdicts.items()) if verdict.counted][0] == 3


def test_ag2_accounts_for_its_calls_a_second_time() -> None:
    tree = Tree()
    agent = tree.add("invoke_agent writer", None, gen("invoke_agent", gen_ai__agent__name="writer"))
    tree.add("chat gpt-4o", agent, gen("chat", 10, gen_ai__usage__thinking_tokens=0))
    tree.add(
        "record_usage model",
        agent,
        {"ag2.usage.kind": "model", "gen_ai.response.model": "gpt-4o", "gen_ai.usage.input_tokens": 10},
    )
    assert tree.sums() == (1, 10, 0, {"writer": 10})


def test_what_ag2_spends_on_its_own_history_is_told_by_its_accounts_alone() -> None:
    tree = Tree()
    agent = tree.add("invoke_agent writer", None, gen("invoke_agent", gen_ai__agent__name="writer"))
    tree.add("chat gpt-4o", agent, gen("chat", 10))
    told = {"gen_ai.response.model": "gpt-4o", "gen_ai.usage.input_tokens": 70}
    tree.add("record_usage compaction", agent, {"ag2.usage.kind": "compaction", **told}, took=0)
    tree.add("record_usage subtask", agent, {"ag2.usage.kind": "subtask", **told}, took=0)
    assert tree.sums() == (2, 80, 0, {"writer": 80})


def test_google_adk_marks_its_agents_as_calls() -> None:
    tree = Tree()
    run = tree.add("invocation [app]", None, infer("CHAIN"))
    agent = tree.add(
        "invoke_agent writer", run, {**infer("LLM", 10), **gen("invoke_agent", gen_ai__agent__name="writer")}
    )
    tree.add("call_llm", agent, infer("LLM"))
    tree.add(
        "execute_tool search",
        agent,
        {**infer("TOOL", tool__name="search"), **gen("execute_tool", gen_ai__tool__name="search")},
    )
    tree.add("execute_tool (merged)", agent, gen("execute_tool", gen_ai__tool__name="(merged tools)"))
    assert tree.sums() == (1, 10, 1, {"writer": 10})


def test_agents_as_tools_in_agent_framework() -> None:
    tree = Tree()
    outer = tree.add("invoke_agent writer", None, gen("invoke_agent", 30, gen_ai__agent__name="writer"))
    tree.add("chat gpt-4o", outer, gen("chat", 10))
    tool = tree.add("execute_tool ask", outer, gen("execute_tool", gen_ai__tool__name="ask"))
    inner = tree.add("invoke_agent researcher", tool, gen("invoke_agent", 20, gen_ai__agent__name="researcher"))
    tree.add("chat gpt-4o", inner, gen("chat", 20))
    assert tree.sums() == (2, 30, 1, {"writer": 10, "researcher": 20})


def test_langsmith_counts_the_call_and_not_the_chains_round_it() -> None:
    tree = Tree()
    kind, agent = "langsmith.span.kind", {"langsmith.metadata.lc_agent_name": "researcher"}
    graph = tree.add("LangGraph", None, {kind: "chain", OP: "chain"})
    chain = tree.add("researcher", graph, {kind: "chain", OP: "chain", "gen_ai.usage.input_tokens": 10, **agent})
    tree.add("ChatOpenAI", chain, {kind: "llm", **gen("chat", 10), **agent})
    tree.add("search", chain, {kind: "tool", OP: "execute_tool", **agent})
    assert tree.sums() == (1, 10, 1, {"researcher": 10})


def test_openinference_for_javascript_over_vercels_spans() -> None:
    tree = Tree()
    outer = {"ai.operationId": "ai.generateText", "ai.telemetry.functionId": "writer"}
    top = tree.add("ai.generateText", None, {**outer, **infer("AGENT", 10), "ai.usage.inputTokens": 10})
    tree.add(
        "ai.generateText.doGenerate", top, {**outer, "ai.operationId": "ai.generateText.doGenerate", **infer("LLM", 10)}
    )
    assert tree.sums() == (1, 10, 0, {"writer": 10})


def test_vercels_wrapper_round_embeddings_is_no_sum_and_a_call_that_answered_did_not_fail() -> None:
    tree, kind = Tree(), "ai.operationId"
    top = tree.add("ai.embed", None, {kind: "ai.embed", "ai.usage.tokens": 3})
    tree.add("ai.embed.doEmbed", top, {kind: "ai.embed.doEmbed", "ai.usage.tokens": 3})
    assert tree.sums() == (0, 3, 0, {None: 3})

    answered = {**infer("LLM", 10), kind: "ai.generateText.doGenerate", "ai.response.id": "r1"}
    tree.add("ai.generateText.doGenerate", None, answered, status=Status.ERROR, error="a tool broke")
    assert tree.sums()[:2] == (1, 13)
    assert (tree.spans[2].status, tree.spans[2].error) == (Status.OK, None)


def test_a_streamed_call_of_logfires_is_told_once() -> None:
    tree, scope = Tree(), "logfire.openai"
    root = tree.add("app", None, {})
    start = {
        "logfire.msg_template": "Chat Completion with {request_data[model]!r}",
        **gen("chat", gen_ai__request__model="gpt-4o"),
    }
    tree.add("Chat Completion with {request_data[model]!r}", root, start, scope=scope)
    end = {
        "logfire.msg_template": "streaming response from {x}",
        **gen("chat", 10, gen_ai__response__model="gpt-4o-2024-08-06"),
        "duration": 4.0,
    }
    tree.add("streaming response from {x}", root, end, at=4_300, took=0, scope=scope)
    assert tree.sums() == (1, 10, 0, {None: 10})

    alone = Tree()
    alone.add("streaming response from {x}", None, end, at=4_300, took=0, scope=scope)
    assert alone.sums() == (0, 10, 0, {None: 10})
