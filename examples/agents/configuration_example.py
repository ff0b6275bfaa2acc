"""Settings: read, changed in place, reloaded; and what one call is told for itself."""

import asyncio
import os

from wflo.agents import GenericAgent, RetryConfig, complete, get_settings, reload_settings, settings


async def main() -> None:
    print(settings.default_model, settings.max_tool_iterations, settings.retry_max_attempts)

    os.environ["WFLO_DEFAULT_MODEL"] = "demo/agent"
    os.environ["WFLO_MAX_TOOL_ITERATIONS"] = "5"
    reload_settings()
    assert settings is get_settings()
    print(settings.default_model, settings.max_tool_iterations)

    settings.default_system_prompt = "Answer in one sentence."
    print((await complete("What is a budget?")).final_response)

    # A call's own: its model, its turns, its retries, its dollars, and the provider's parameters.
    result = await complete(
        "What is a budget?", model="demo/echo", max_tool_iterations=3, retry=RetryConfig(max_attempts=2, min_wait=0),
        max_cost_usd=0.05, temperature=0,
    )  # fmt: skip
    print(result.final_response)

    agent = GenericAgent(model="demo/agent")
    print(agent.name, (await agent.run("Hello")).final_response)


if __name__ == "__main__":
    asyncio.run(main())
