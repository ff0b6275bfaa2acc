"""OpenAI's completions of before chat, as a demo model reads and answers them: every prompt gets the answer to the first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tracking.gateway.demo_provider.wire import chunk, done
from tracking.gateway.dialects.openai_completions import OUTPUT_TOKENS
from wflo.demo.scripts import Said, Told, tokens_of, words_of


def read(body: dict[str, Any]) -> Told:
    prompts = _prompts(body)
    texts = [prompt if isinstance(prompt, str) else "" for prompt in prompts]
    numbers = sum(len(prompt) for prompt in prompts if isinstance(prompt, list))  # tokens given as numbers
    cap = body.get("max_tokens")
    return Told(
        question=texts[0],
        cap=OUTPUT_TOKENS if cap is None else cap,
        messages=len(prompts),
        tokens=sum(tokens_of(text) for text in texts) + numbers,
    )


def whole(said: Said, id: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
    shown = len(_prompts(body)) * (body.get("n") or 1)
    choices = [{"index": place, **_choice(said.text, _finish(said))} for place in range(shown)]
    return {**_frame(id, model), "choices": choices, "usage": _usage(said, body)}


def stream(said: Said, id: str, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    frame = _frame(id, model)
    for index in range(len(_prompts(body)) * (body.get("n") or 1)):
        for word in words_of(said.text):
            yield chunk({**frame, "choices": [{"index": index, **_choice(word, None)}]})
        yield chunk({**frame, "choices": [{"index": index, **_choice("", _finish(said))}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield chunk({**frame, "choices": [], "usage": _usage(said, body)})
    yield done()


def _prompts(body: dict[str, Any]) -> list[Any]:
    prompt = body.get("prompt")
    return prompt if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else [prompt]


def _frame(id: str, model: str) -> dict[str, Any]:
    return {"id": f"cmpl-{id}", "object": "text_completion", "created": int(time.time()), "model": model}


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "finish_reason": finish, "logprobs": None}


def _finish(said: Said) -> str:
    return "length" if said.is_cut else "stop"


def _usage(said: Said, body: dict[str, Any]) -> dict[str, Any]:
    made = len(_prompts(body)) * max(body.get("n") or 1, body.get("best_of") or 1)
    answered = said.output_tokens * made
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": answered,
        "total_tokens": said.input_tokens + answered,
    }
