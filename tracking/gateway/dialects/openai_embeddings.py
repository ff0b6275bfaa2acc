"""OpenAI's embeddings."""

from __future__ import annotations

from typing import Any

import orjson

from tracking.errors import InvalidCall
from tracking.gateway.dialects import counts
from tracking.gateway.dialects.dialect import Reader, Seen, Wanted
from tracking.gateway.dialects.fields import model_of, text
from tracking.gateway.dialects.openai_chat import ChatReader, usage_of
from tracking.gateway.dialects.sse import event

INPUTS_MAX = 10_000


class OpenAiEmbeddings:
    name = "openai.embeddings"
    path = "/embeddings"
    provider = "openai"
    is_common = True
    is_embedding = True
    output_field = ""
    output_least = 0
    passed_headers: tuple[str, ...] = ()

    def read(self, body: dict[str, Any]) -> Wanted:
        model, given = model_of(body), body.get("input")
        if not isinstance(given, str | list) or not given:
            raise InvalidCall("input must be text, or a list of texts or of tokens.", field="input")
        if isinstance(given, list) and not (_is_tokens(given) or all(isinstance(one, str | list) for one in given)):
            raise InvalidCall("input must be text, or a list of texts or of tokens.", field="input")
        if isinstance(given, list) and not _is_tokens(given) and len(given) > INPUTS_MAX:
            raise InvalidCall(f"input may hold at most {INPUTS_MAX:,} texts.", field="input")
        if body.get("stream"):
            raise InvalidCall("Embeddings are not streamed.", field="stream")
        return Wanted(model=model, user=text(body, "user"))

    def sent(self, body: dict[str, Any], *, model: str, output_tokens: int | None) -> dict[str, Any]:
        return {**body, "model": model}

    def answered(self, answer: dict[str, Any]) -> Seen:
        """The vectors are not recorded: how many there are says as much."""
        usage, data = usage_of(answer.get("usage")), answer.get("data")
        model = answer.get("model")
        return Seen(
            usage=usage,
            is_usage_bad=usage is None and bool(answer.get("usage")),
            model=model if isinstance(model, str) else "",
            message={"embeddings": len(data)} if isinstance(data, list) else None,
        )

    def reader(self, body: dict[str, Any]) -> Reader:
        return ChatReader(is_usage_wanted=True)  # for no stream there is

    def prompt(self, body: dict[str, Any]) -> Any:
        return body.get("input")

    def counted(self, body: dict[str, Any]) -> list[Any]:
        given = body.get("input")
        if not isinstance(given, list):
            return [given]
        if _is_tokens(given):
            return [counts.Tokens(len(given))]
        return [counts.Tokens(len(one)) if isinstance(one, list) else one for one in given]

    def unforeseen(self, body: dict[str, Any]) -> str:
        return ""

    def error_body(self, error: dict[str, Any]) -> dict[str, Any]:
        return {"error": error, "detail": {"error": error}}

    def error_event(self, error: dict[str, Any]) -> bytes:
        return event(orjson.dumps({"error": error}))

    def cut_event(self, seen: Seen, error: dict[str, Any]) -> bytes:
        return self.error_event(error)


def _is_tokens(given: list[Any]) -> bool:
    return isinstance(given[0], int)
