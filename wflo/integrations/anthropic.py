"""Anthropic's client: messages, whole and streamed, with tools, thinking and cached prompts; sync and async.

client = wrap_anthropic(Anthropic())  # this client
undo = instrument_anthropic()         # every client of this process
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from wflo.integrations.watching import Operation, patched

C = TypeVar("C")
_METHODS = {
    "create": Operation(name="chat", provider="anthropic", asked="messages"),
    "stream": Operation(name="chat", provider="anthropic", asked="messages", is_stream=True),
}


def wrap_anthropic(client: C) -> C:
    """The same client, with its calls recorded in the run they are made in, and held to its budgets. Twice is once."""
    for owner in (client.messages, client.beta.messages):  # type: ignore[attr-defined]
        for name, operation in _METHODS.items():
            patched(owner, name, operation)
    return client


def instrument_anthropic() -> Callable[[], None]:
    """Have every client of the process recorded; what undoes it. Raises ImportError where anthropic is not installed."""
    from anthropic.resources import AsyncMessages, Messages
    from anthropic.resources.beta import AsyncMessages as AsyncBeta
    from anthropic.resources.beta import Messages as Beta

    owners: tuple[Any, ...] = (Messages, AsyncMessages, Beta, AsyncBeta)
    done = [patched(owner, *method) for owner in owners for method in _METHODS.items()]

    def undo() -> None:
        for put_back in done:
            if put_back is not None:
                put_back()

    return undo
