"""Models of the scripted provider that frameworks call, and their price: the library's, the server's and the bill's are one."""

from __future__ import annotations

from decimal import Decimal

INPUT_USD, OUTPUT_USD = Decimal("0.000001"), Decimal("0.000010")  # of a token
# Their names are their scripts (tests/fake_provider).
MODELS = (
    *("echo", "echo-slow", "echo-drip", "echo-flaky", "echo-fail500", "echo-nousage", "echo-long", "echo-deaf"),
    *("tool", "tools", "json", "think", "cached", "walk2"),
)
PROVIDERS = ("openai", "anthropic")


def figures() -> dict[str, str]:
    """Of any of them, in USD per million tokens."""
    return {"input_usd_per_million": str(INPUT_USD * 10**6), "output_usd_per_million": str(OUTPUT_USD * 10**6)}
