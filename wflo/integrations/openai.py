"""OpenAI's client: chat, responses and embeddings; whole and streamed, with tools; sync and async, Azure's too.

    client = wrap_openai(OpenAI())        # this client
    undo = instrument_openai()            # every client of this process

Where a client calls the gateway of the Wflo that is configured, the gateway's record is hung under the call's span, so that
the two are counted once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from wflo.integrations.watching import Operation, is_own_gateway, patched
from wflo.spans import Kind
from wflo.wrapping import Invocation

C = TypeVar("C")
_TELLS_USAGE = ("api.openai.com", ".openai.azure.com", ".cognitiveservices.azure.com")


def wrap_openai(client: C) -> C:
    """The same client, with its calls recorded in the run they are made in, and held to its budgets. Twice is once."""
    for owner, name, operation in _places(client.chat.completions, client.responses, client.embeddings):  # type: ignore[attr-defined]
        patched(owner, name, operation)
    return client


def instrument_openai() -> Callable[[], None]:
    """Have every client of the process recorded; what undoes it. Raises ImportError where openai is not installed."""
    from openai.resources import chat, embeddings, responses

    kinds = (
        (chat.Completions, responses.Responses, embeddings.Embeddings),
        (chat.AsyncCompletions, responses.AsyncResponses, embeddings.AsyncEmbeddings),
    )
    done = [patched(*place) for one in kinds for place in _places(*one)]

    def undo() -> None:
        for put_back in done:
            if put_back is not None:
                put_back()

    return undo


def _places(completions: Any, responses: Any, embeddings: Any) -> list[tuple[Any, str, Operation]]:
    chat = Operation(name="chat", provider="openai", asked="messages", prepare=with_usage)
    embedding = Operation(name="embeddings", provider="openai", asked="input", kind=Kind.EMBEDDING)
    response = Operation(name="responses", provider="openai", asked="input")
    return [
        (completions, "create", chat),
        (completions, "parse", chat),
        (responses, "create", response),
        (responses, "parse", response),
        (embeddings, "create", embedding),
    ]


def with_usage(invocation: Invocation) -> Callable[[Any], bool] | None:
    """Ask for a stream's usage where the provider is known to tell it; who did not ask does not see it."""
    given = invocation.kwargs
    options = given.get("stream_options")
    if not given.get("stream") or (isinstance(options, dict) and "include_usage" in options):
        return None
    address = invocation.seen["base_url"]
    host = address.partition("://")[2].partition("/")[0].partition(":")[0]
    if not (is_own_gateway(address) or host.endswith(_TELLS_USAGE)):
        return None
    given["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return lambda piece: bool(getattr(piece, "choices", True)) or getattr(piece, "usage", None) is None
