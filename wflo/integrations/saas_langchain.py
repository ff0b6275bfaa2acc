"""SaaSChatOpenAI: LangChain's chat model for OpenAI, whose calls are those of a job. Tools and structured answers work too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr

PURPOSE = "langchain_call"
PASSED = (
    *("messages", "tools", "tool_choice", "response_format", "temperature", "top_p", "frequency_penalty"),
    *("presence_penalty", "stop"),
)


class SaaSChatOpenAI(ChatOpenAI):
    """``SaaSChatOpenAI(wrapper=wrapper)``; other arguments are ``ChatOpenAI``'s. No key of OpenAI's is needed: the job's
    model group is called, and a stream is the whole answer in one piece. Raises ServerError."""

    wrapper: Any = Field(exclude=True)
    purpose: str = PURPOSE

    def __init__(self, *, wrapper: Any, **options: Any) -> None:
        options.setdefault("model", wrapper.resolved_model or wrapper.model_group)
        options.setdefault("api_key", SecretStr("sk-not-used"))
        super().__init__(**{"wrapper": wrapper, **options})

    @property
    def _llm_type(self) -> str:
        return "saas-litellm-chat"

    def with_structured_output(
        self, schema: Any = None, *, method: Any = "function_calling", **options: Any
    ) -> Runnable[LanguageModelInput, Any]:
        return super().with_structured_output(schema, method=method, **options)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        asked = {name: payload[name] for name in PASSED if payload.get(name) is not None}
        most = payload.get("max_completion_tokens") or payload.get("max_tokens")
        answer = self.wrapper.ask(asked.pop("messages"), purpose=self.purpose, max_tokens=most, **asked)
        return _read(answer)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await asyncio.to_thread(self._generate, messages, stop, None, **kwargs)

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        kwargs.pop("stream_usage", None)
        yield _whole(self._generate(messages, *args, **kwargs))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        kwargs.pop("stream_usage", None)
        yield _whole(await self._agenerate(messages, *args, **kwargs))


def _read(answer: dict[str, Any]) -> ChatResult:
    response, told = answer["response"], answer["metadata"]
    message: dict[str, Any] = {"role": "assistant", "content": response.get("content") or ""}
    if response.get("tool_calls"):
        message["tool_calls"] = response["tool_calls"]
    said = _message(message)
    said.response_metadata = {
        "model_name": told.get("resolved_model") or told["model"],
        "finish_reason": response.get("finish_reason"),
        "id": answer["call_id"],
    }
    if told.get("prompt_tokens") is not None:
        into, out = told["prompt_tokens"], told["completion_tokens"]
        said.usage_metadata = {"input_tokens": into, "output_tokens": out, "total_tokens": into + out}
    generation = ChatGeneration(message=said, generation_info={"finish_reason": response.get("finish_reason")})
    return ChatResult(generations=[generation], llm_output={"model_name": told["model"]})


def _message(message: dict[str, Any]) -> AIMessage:
    (said,) = convert_to_messages([message])
    assert isinstance(said, AIMessage)
    return said


def _whole(result: ChatResult) -> ChatGenerationChunk:
    said = result.generations[0].message
    assert isinstance(said, AIMessage)
    fields = {name: value for name, value in said.__dict__.items() if name != "type"}
    calls = [{"name": one["name"], "args": one["args"], "id": one["id"]} for one in said.tool_calls]
    chunk = AIMessageChunk(**fields | {"tool_calls": calls, "chunk_position": "last"})
    return ChatGenerationChunk(message=chunk, generation_info=result.generations[0].generation_info)
