"""One agent loop of ten tool calls, by each framework, with a model that answers at once: what is left is the framework.

``python -m bench.agent_loops NAME ...`` prints microseconds of a loop (median) as JSON. ``complete`` is the library's ``complete``
and ``litellm`` the bare call it makes, both with LiteLLM's own mocked answer; named together they take turns.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

TOOLS = 10
LOOPS = 150
WARM = 20

Loop = Callable[[], Awaitable[Any]]


def wflo_loop() -> Loop:
    from wflo.agents import Answer, Request, complete
    from wflo.usage import Usage

    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    async def ask(request: Request) -> Answer:
        done = sum(1 for message in request.messages if message["role"] == "tool")
        usage = Usage(input_tokens=10, output_tokens=5)
        if done == TOOLS:
            return Answer(message={"role": "assistant", "content": "done"}, usage=usage, finish_reason="stop")
        call = {"id": f"c{done}", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
        return Answer(message={"role": "assistant", "content": None, "tool_calls": [call]}, usage=usage)

    async def run() -> None:
        result = await complete("add", ask=ask, tools=[add], max_tool_iterations=TOOLS + 1)
        assert result.tool_calls_made == TOOLS

    return run


def langgraph_loop() -> Loop:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, ToolMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool
    from langgraph.prebuilt import create_react_agent

    @tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    class Fake(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "fake"

        def bind_tools(self, tools: Any, **more: Any) -> Any:
            return self

        def _generate(self, messages: Any, *args: Any, **more: Any) -> ChatResult:
            done = sum(1 for message in messages if isinstance(message, ToolMessage))
            usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
            calls = [] if done == TOOLS else [{"name": "add", "args": {"a": 1, "b": 2}, "id": f"c{done}"}]
            said = AIMessage(content="" if calls else "done", tool_calls=calls, usage_metadata=usage)
            return ChatResult(generations=[ChatGeneration(message=said)])

        async def _agenerate(self, messages: Any, *args: Any, **more: Any) -> ChatResult:
            return self._generate(messages)

    graph = create_react_agent(Fake(), [add])

    async def run() -> None:
        result = await graph.ainvoke({"messages": [("user", "add")]}, {"recursion_limit": 3 * TOOLS + 5})
        assert result["messages"][-1].content == "done"

    return run


def openai_agents_loop() -> Loop:
    from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    set_tracing_disabled(True)

    @function_tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    class Fake(Model):
        async def get_response(self, system_instructions: Any, input: Any, *args: Any, **more: Any) -> ModelResponse:
            items = input if isinstance(input, list) else []
            done = sum(1 for item in items if isinstance(item, dict) and item.get("type") == "function_call_output")
            usage = Usage(requests=1, input_tokens=10, output_tokens=5, total_tokens=15)
            if done == TOOLS:
                text = ResponseOutputText(text="done", type="output_text", annotations=[])
                output: Any = ResponseOutputMessage(
                    id="m", content=[text], role="assistant", status="completed", type="message"
                )
            else:
                output = ResponseFunctionToolCall(
                    call_id=f"c{done}", name="add", arguments='{"a": 1, "b": 2}', type="function_call"
                )
            return ModelResponse(output=[output], usage=usage, response_id=None)

        def stream_response(self, *args: Any, **more: Any) -> Any:
            raise AssertionError("it is not streamed here")

    agent = Agent(name="adder", tools=[add], model=Fake())

    async def run() -> None:
        result = await Runner.run(agent, "add", max_turns=TOOLS + 2)
        assert result.final_output == "done"

    return run


def pydantic_ai_loop() -> Loop:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel

    async def answer(messages: Any, info: Any) -> ModelResponse:
        done = sum(1 for message in messages for part in message.parts if isinstance(part, ToolReturnPart))
        if done == TOOLS:
            return ModelResponse(parts=[TextPart("done")])
        return ModelResponse(parts=[ToolCallPart("add", {"a": 1, "b": 2}, f"c{done}")])

    agent = Agent(FunctionModel(answer))

    @agent.tool_plain
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    async def run() -> None:
        result = await agent.run("add")
        assert result.output == "done"

    return run


_MOCKED = {"mock_response": "hello there", "api_key": "k"}


def litellm_call() -> Loop:
    import litellm

    messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "hi"}]

    async def run() -> None:
        await litellm.acompletion(
            model="openai/gpt-4o-mini", messages=list(messages), num_retries=0, max_retries=0, **_MOCKED
        )

    return run


def complete_call() -> Loop:
    from wflo.agents import complete

    async def run() -> None:
        await complete("hi", model="openai:gpt-4o-mini", **_MOCKED)

    return run


LOOPS_OF: dict[str, Callable[[], Loop]] = {
    "wflo": wflo_loop, "langgraph": langgraph_loop, "openai-agents": openai_agents_loop, "pydantic-ai": pydantic_ai_loop,
    "litellm": litellm_call, "complete": complete_call,
}  # fmt: skip


async def timed(*runs: Loop) -> list[list[float]]:
    """Of each, in turn, so that what else the machine does is shared."""
    found: list[list[float]] = [[] for _ in runs]
    for turn in range(WARM + LOOPS):
        for run, times in zip(runs, found, strict=True):
            began = time.perf_counter()
            await run()
            if turn >= WARM:
                times.append((time.perf_counter() - began) * 1e6)
    return found


def main() -> None:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    warnings.simplefilter("ignore")
    names = sys.argv[1:]
    found = asyncio.run(timed(*(LOOPS_OF[name]() for name in names)))
    sys.stdout.write(
        json.dumps({name: statistics.median(times) for name, times in zip(names, found, strict=True)}) + "\n"
    )


if __name__ == "__main__":
    main()
