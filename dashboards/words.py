"""What groups of usage are called on pages, and what a row without a value of them is called."""

from __future__ import annotations

from collections.abc import Mapping

GROUP_WORDS: Mapping[str, str] = {
    "agent": "Agent",
    "model": "Model",
    "provider": "Provider",
    "tool": "Tool",
    "kind": "Kind",
    "user": "User",
    "key": "Key",
    "environment": "Environment",
}
NONE_WORDS: Mapping[str, str] = {
    "agent": "unattributed",
    "model": "no model",
    "provider": "no provider",
    "tool": "no tool",
    "kind": "other",
    "user": "no user",
    "key": "no key",
    "environment": "no environment",
}
MEASURE_WORDS: Mapping[str, str] = {
    "cost": "Cost",
    "tokens": "Tokens",
    "calls": "Calls",
    "runs": "Runs",
    "errors": "Errors",
    "p95": "p95",
}


def value_word(group: str, value: str | None, names: Mapping[str, str]) -> str:
    """``names`` are those of keys, by id: a key is known by its name."""
    if not value:
        return NONE_WORDS[group]
    return names.get(value, value) if group == "key" else value
