"""Steps as OTLP/JSON requests, in the attribute words of GenAI semantic conventions or of OpenInference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import orjson

from tracking.demo.cast import Dialect
from tracking.demo.story import DemoRun, Step

SPANS_PER_REQUEST = 500
_OPERATIONS = {"agent": "invoke_agent", "llm": "chat", "tool": "execute_tool", "embedding": "embeddings"}
_INTERNAL, _CLIENT = 1, 3
_ERROR = 2

Value = str | int | bool | list[str] | None


def requests(runs: Iterable[DemoRun]) -> Iterator[bytes]:
    """Bodies for /v1/traces, oldest run first, each of about SPANS_PER_REQUEST spans; a run is never split."""
    waiting: list[DemoRun] = []
    spans = 0
    for run in runs:
        waiting.append(run)
        spans += len(run.steps)
        if spans >= SPANS_PER_REQUEST:
            yield request(waiting)
            waiting, spans = [], 0
    if waiting:
        yield request(waiting)


def request(runs: Iterable[DemoRun]) -> bytes:
    """One OTLP/JSON ExportTraceServiceRequest."""
    ordered = sorted(runs, key=_resource_key)
    return orjson.dumps(
        {"resourceSpans": [_resource_spans(list(group)) for _, group in groupby(ordered, _resource_key)]}
    )


def _resource_key(run: DemoRun) -> tuple[str, str, str, str]:
    return (run.role.service, run.environment, run.release, run.role.dialect.value)


def _resource_spans(runs: list[DemoRun]) -> dict[str, Any]:
    first = runs[0]
    resource = {
        "service.name": first.role.service,
        "service.version": first.release,
        "deployment.environment.name": first.environment,
    }
    scope = "demo.genai" if first.role.dialect is Dialect.GENAI else "openinference.instrumentation.demo"
    spans = [_span(run, step) for run in runs for step in run.steps]
    return {
        "resource": {"attributes": _attributes(resource)},
        "scopeSpans": [{"scope": {"name": scope, "version": "1"}, "spans": spans}],
    }


def _span(run: DemoRun, step: Step) -> dict[str, Any]:
    is_genai = run.role.dialect is Dialect.GENAI
    span: dict[str, Any] = {
        "traceId": run.trace_id,
        "spanId": step.id,
        "name": f"{_OPERATIONS[step.kind]} {step.name}" if step.kind in ("agent", "tool") else step.name,
        "kind": _CLIENT if step.kind in ("llm", "embedding") else _INTERNAL,
        "startTimeUnixNano": str(round(step.start * 1e9)),
        "endTimeUnixNano": str(round(step.end * 1e9)),
        "attributes": _attributes(_genai(run, step) if is_genai else _openinference(run, step)),
        "status": {"code": _ERROR, "message": step.error} if step.error else {},
    }
    if step.parent:
        span["parentSpanId"] = step.parent
    if step.error:
        said = {"exception.type": step.error.split(":")[0].split(" ")[0], "exception.message": step.error}
        span["events"] = [
            {"name": "exception", "timeUnixNano": span["endTimeUnixNano"], "attributes": _attributes(said)}
        ]
    return span


def _genai(run: DemoRun, step: Step) -> dict[str, Value]:
    said: dict[str, Value] = {
        "gen_ai.operation.name": _OPERATIONS[step.kind],
        "gen_ai.conversation.id": run.session,
        "user.id": run.user,
    }
    if step.kind in ("agent", "llm"):
        said["gen_ai.agent.name"] = step.agent
        said["gen_ai.input.messages"] = _messages(step.messages)
        said["gen_ai.output.messages"] = _messages([("assistant", step.answer)]) if step.answer else None
    if step.model:
        said["gen_ai.provider.name"] = step.model.provider
        said["gen_ai.request.model"] = step.model.name
    if step.model and not step.refused:
        said["gen_ai.response.model"] = step.model.name
        said["gen_ai.response.id"] = f"resp-{step.id}" if step.kind == "llm" else None
        said["gen_ai.usage.input_tokens"] = step.input_tokens
        said["gen_ai.usage.output_tokens"] = step.output_tokens if step.kind == "llm" else None
        said["gen_ai.usage.cache_read.input_tokens"] = step.cached_tokens or None
        said["gen_ai.usage.reasoning.output_tokens"] = step.reasoning_tokens or None
        said["gen_ai.response.finish_reasons"] = ["stop"] if step.kind == "llm" else None
    if step.kind == "tool":
        said["gen_ai.tool.name"] = step.name
        said["gen_ai.tool.call.id"] = f"call_{step.id}"
        said["gen_ai.tool.call.arguments"] = step.arguments
        said["gen_ai.tool.call.result"] = step.result or None
    if step.error:
        said["error.type"] = step.error.split(":")[0].split(" ")[0]
    return said


def _openinference(run: DemoRun, step: Step) -> dict[str, Value]:
    said: dict[str, Value] = {
        "openinference.span.kind": step.kind.upper(),
        "agent.name": step.agent,
        "session.id": run.session,
        "user.id": run.user,
    }
    if step.kind == "agent":
        said["input.value"] = step.messages[0][1]
        said["output.value"] = step.answer or None
    if step.kind == "tool":
        said |= {"tool.name": step.name, "input.value": step.arguments, "input.mime_type": "application/json"}
        said["output.value"] = step.result or None
    if step.kind == "embedding" and step.model:
        said["embedding.model_name"] = step.model.name
        said["llm.token_count.prompt"] = step.input_tokens
    if step.kind == "llm" and step.model:
        said["llm.model_name"] = step.model.name
        said["llm.provider"] = step.model.provider
        said |= _indexed("llm.input_messages", step.messages)
        if not step.refused:
            said |= _indexed("llm.output_messages", [("assistant", step.answer)])
            said["llm.token_count.prompt"] = step.input_tokens
            said["llm.token_count.completion"] = step.output_tokens
            said["llm.token_count.prompt_details.cache_read"] = step.cached_tokens or None
            said["llm.token_count.completion_details.reasoning"] = step.reasoning_tokens or None
    return said


def _messages(messages: list[tuple[str, str]]) -> str:
    return orjson.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in messages]
    ).decode()


def _indexed(prefix: str, messages: list[tuple[str, str]]) -> dict[str, Value]:
    said: dict[str, Value] = {}
    for i, (role, text) in enumerate(messages):
        said[f"{prefix}.{i}.message.role"] = role
        said[f"{prefix}.{i}.message.content"] = text
    return said


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": value}
