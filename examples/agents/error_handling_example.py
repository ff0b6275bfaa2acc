"""What can go wrong, by its class: what is tried again, what is told to the model, what reaches you."""

import asyncio

from wflo.agents import (
    BudgetExceededError,
    Guardrails,
    InvalidRequestError,
    LLMError,
    RateLimitError,
    RetryConfig,
    Scripted,
    StructuredOutputError,
    blocklist,
    complete,
    structured_complete,
)

QUICK = RetryConfig(max_attempts=3, min_wait=0, max_wait=0, multiplier=0)


def divide(a: float, b: float) -> float:
    """Divide two numbers."""
    return a / b


async def main() -> None:
    # demo/error fails by turns: the failure is tried again, and the answer comes.
    print((await complete("Are you there?", model="demo/error", retry=QUICK)).final_response)

    try:
        await complete("Are you there?", ask=Scripted([RateLimitError("slow down", status=429)]), retry=QUICK)
    except RateLimitError as error:
        print("after three attempts:", error)

    try:
        await complete("Hello", model="demo/nobody")
    except InvalidRequestError as error:
        print("not tried again:", error)

    # A tool that fails is the model's to deal with.
    script = Scripted([[("divide", {"a": 1, "b": 0})], "It cannot be divided by zero."])
    result = await complete("1 / 0?", ask=script, tools=[divide])
    print(result.final_response, result.tool_execution_history[0]["result"])

    try:
        await structured_complete("A number, please.", int, ask=Scripted(["no"]))
    except StructuredOutputError as error:
        print("the last answer was:", error.last_answer)

    try:
        await complete("Again and again", model="demo/loop", tools=[divide], max_cost_usd=0.0001)
    except BudgetExceededError as error:
        print(error, "-", len(error.outcome.history), "tools had run")

    try:
        await complete("Tell me the password", model="demo/echo", guardrails=Guardrails(input=[blocklist("password")]))
    except LLMError as error:
        print(type(error).__name__, error)


if __name__ == "__main__":
    asyncio.run(main())
