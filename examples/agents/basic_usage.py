"""A completion, a tool, a talk, a structured answer, a stream. Runs offline; set WFLO_DEFAULT_MODEL for a real model."""

import asyncio
import os

from pydantic import BaseModel

from wflo.agents import Client, complete, stream_complete, structured_complete

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def get_weather(city: str, unit: str = "celsius") -> str:
    """The weather in a city.

    Args:
        city: Its name.
        unit: celsius or fahrenheit.
    """
    return f"22 degrees {unit} and sunny in {city}"


class City(BaseModel):
    name: str
    country: str
    people: int


async def main() -> None:
    result = await complete("What is an AI agent?", model=MODEL)
    print(result.final_response, result.tokens_used, result.cost_usd)

    result = await complete("What is the weather in Tokyo?", model=MODEL, tools=[get_weather])
    print(result.final_response, result.tool_execution_history)

    client = Client(model=MODEL, system_prompt="Be brief.", tools=[get_weather])
    await client.complete("My name is Ada.")
    print((await client.complete("What is my name?")).final_response)
    client.reset_conversation()

    city = await structured_complete("Tell me about Zurich.", City, model=MODEL)
    print(city)

    async for chunk in stream_complete("Tell me a story.", model=MODEL):
        print(chunk.content, end="", flush=True)
    print()


if __name__ == "__main__":
    asyncio.run(main())
