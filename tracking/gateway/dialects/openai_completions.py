"""OpenAI's completions of before chat: a prompt, or several, and what follows it."""

from __future__ import annotations

from typing import Any

from tracking.errors import InvalidCall
from tracking.gateway.dialects.dialect import Seen, Wanted
from tracking.gateway.dialects.fields import count, model_of, text
from tracking.gateway.dialects.openai_chat import CHOICES_MAX, OpenAiChat, usage_of

OUTPUT_TOKENS = 16  # OpenAI's cap where none is asked for


class OpenAiCompletions(OpenAiChat):
    name = "openai.completions"
    path = "/completions"

    def read(self, body: dict[str, Any]) -> Wanted:
        model, prompt = model_of(body), body.get("prompt")
        if not isinstance(prompt, str | list) or not prompt:
            raise InvalidCall("prompt must be text, or a list of texts or of tokens.", field="prompt")
        prompts = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
        made = max(count(body, "n", most=CHOICES_MAX) or 1, count(body, "best_of", most=CHOICES_MAX) or 1)
        if prompts * made > CHOICES_MAX:
            raise InvalidCall(f"At most {CHOICES_MAX} answers are made in one call.", field="prompt")
        cap = count(body, "max_tokens")
        return Wanted(
            model=model,
            is_stream=body.get("stream") is True,
            output_tokens=OUTPUT_TOKENS if cap is None else cap,
            choices=prompts * made,
            user=text(body, "user"),
        )

    def sent(self, body: dict[str, Any], *, model: str, output_tokens: int | None) -> dict[str, Any]:
        out = super().sent(body, model=model, output_tokens=None)
        return out if output_tokens is None else {**out, "max_tokens": output_tokens}

    def answered(self, answer: dict[str, Any]) -> Seen:
        choices = [one for one in answer.get("choices") or () if isinstance(one, dict)]
        usage = usage_of(answer.get("usage"))
        texts = [one["text"] for one in choices if isinstance(one.get("text"), str)]
        return Seen(
            usage=usage,
            is_usage_bad=usage is None and bool(answer.get("usage")),
            model=str(answer.get("model") or ""),
            response_id=str(answer.get("id") or ""),
            finish_reason=str((choices[0].get("finish_reason") if choices else "") or ""),
            text="".join(texts),
            message=texts,
            output_bytes=sum(len(one.encode("utf-8", "replace")) for one in texts),
        )

    def cut_event(self, seen: Seen, error: dict[str, Any]) -> bytes:
        return super().cut_event(seen, error).replace(b'"chat.completion.chunk"', b'"text_completion"', 1)

    def prompt(self, body: dict[str, Any]) -> Any:
        return body.get("prompt")
