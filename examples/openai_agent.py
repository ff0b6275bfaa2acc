"""A tool loop on OpenAI's client: tracked, held to a budget, stopped when it turns in circles, saved before each tool.

Against a running Wflo (``make up``), whose gateway has models that need no provider's key:

    export WFLO_ENDPOINT=http://127.0.0.1:8000 WFLO_API_KEY=wf_live_...
    python examples/openai_agent.py
"""

import asyncio
import json
import os
from typing import Any

from openai import OpenAI

from wflo import WfloAgent, detect_infinite_loop, track_agent_cost, track_tool_call
from wflo.integrations.openai import wrap_openai

client = wrap_openai(OpenAI(base_url=os.environ["WFLO_ENDPOINT"] + "/v1", api_key=os.environ["WFLO_API_KEY"]))
flow = WfloAgent("openai example", budget_usd=0.50)
TOOL = {
    "type": "function",
    "function": {
        "name": "search_web",
        "description": "Search the web.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}


@track_tool_call
def search_web(query: str) -> str:
    return f"Three reports on {query}."


@detect_infinite_loop(max_iterations=10)
@track_agent_cost("researcher")
def research(question: str) -> str:
    messages: list[Any] = [{"role": "user", "content": question}]
    while True:
        answer = client.chat.completions.create(
            model=os.environ.get("MODEL", "demo/agent"), messages=messages, tools=[TOOL]
        )
        said = answer.choices[0].message
        if not said.tool_calls:
            return said.content or ""
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            flow.checkpoint(f"before {call.function.name}", {"messages": messages})
            result = search_web(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


async def main() -> None:
    print(await flow.execute(research, {"question": "Solid-state batteries?"}))
    told = flow.get_cost_breakdown_by_agent()["researcher"]
    print(f"researcher: ${told['cost_usd']} in {told['api_calls']} calls")
    print("run:", flow.execution_id, "checkpoints:", [one["name"] for one in flow.list_checkpoints()])


if __name__ == "__main__":
    asyncio.run(main())
