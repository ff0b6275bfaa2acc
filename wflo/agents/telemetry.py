"""Traces of agents, by OpenTelemetry: the only file of the library that knows it, and only where tracing is on.

Off, a call costs a look at one variable. On, each model call is a span ``llm.completion`` and each tool call ``tool.<name>``,
with the attributes below and the GenAI conventions' own beside them, so that any collector understands them.
``configure_tracing`` sends them over OTLP: to Wflo, or wherever OTEL_EXPORTER_OTLP_ENDPOINT says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from wflo.agents import steps
from wflo.agents.settings import settings

if TYPE_CHECKING:
    from wflo.agents.model import Answer, Request
    from wflo.agents.tools import ToolResult

NAME = "wflo.agents"
_PATH = "/v1/traces"
_tracer: Any = None
_provider: Any = None
_OFF = nullcontext(None)


def is_tracing_enabled() -> bool:
    return _tracer is not None


def configure_tracing(
    endpoint: str | None = None, *, api_key: str | None = None, service_name: str = NAME, exporter: Any = None
) -> bool:
    """Send spans from here on; False, and nothing happens, where tracing is off (WFLO_ENABLE_TRACING) or no place is named.

    The place: ``endpoint``, else OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, or WFLO_ENDPOINT (with
    WFLO_API_KEY). ``exporter``: an OpenTelemetry span exporter to use instead. Raises ImportError saying what to install.
    """
    global _tracer, _provider
    address = endpoint or _address()
    if exporter is None and (not address or (endpoint is None and not settings.enable_tracing)):
        return False
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError as error:
        raise ImportError('Tracing needs OpenTelemetry: pip install "wflo[tracing]"') from error
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        assert address is not None
        provider.add_span_processor(BatchSpanProcessor(_exporter(address, api_key)))
    disable_tracing()
    _provider, _tracer = provider, provider.get_tracer(NAME)
    return True


def flush_tracing(timeout_s: float = 10) -> bool:
    """Wait until what was traced so far is sent; False when it is not by then. True where tracing is off."""
    return _provider is None or bool(_provider.force_flush(int(timeout_s * 1000)))


def disable_tracing() -> None:
    """No spans from here on; those there are are sent."""
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is not None:
        provider.shutdown()


def _address() -> str | None:
    own = os.environ.get("WFLO_ENDPOINT")
    return (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        or settings.otel_exporter_endpoint
        or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or (own.rstrip("/") if own else None)
    )


def traces_address(address: str) -> str:
    """An OTLP address with its path once, whether it was written with it or, as OpenTelemetry has it, without."""
    address = address.rstrip("/")
    return address if address.endswith(_PATH) else address + _PATH


def _exporter(address: str, api_key: str | None) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    key = api_key or os.environ.get("WFLO_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if settings.mlflow_tracking_uri:
        headers["x-mlflow-experiment-name"] = settings.mlflow_experiment_name
    return OTLPSpanExporter(endpoint=traces_address(address), headers=headers or None)


@contextmanager
def trace_llm_call(
    model: str, messages: Sequence[Any], tools: Sequence[Any] | None = None, **attributes: Any
) -> Iterator[Any]:
    """A span around a model call of your own; yields it, None where tracing is off. What is raised within is recorded."""
    if _tracer is None:
        yield None
        return
    provider, _, name = model.replace(":", "/", 1).rpartition("/")
    known = {
        "llm.provider": provider or "openai",
        "llm.model": name,
        "llm.messages_count": len(messages),
        "llm.tools_available": len(tools or ()),
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider or "openai",
        "gen_ai.request.model": name,
    }
    if agent := steps.current_agent():
        known["gen_ai.agent.name"] = agent
    if workflow := steps.current_workflow():
        known["gen_ai.workflow.name"] = workflow
    with _tracer.start_as_current_span("llm.completion") as span:
        set_span_attributes(span, **{**known, **attributes})
        yield span


def set_span_attributes(span: Any, **attributes: Any) -> None:
    """Those with a value; what is no plain value is written as text. Nothing where the span is None."""
    if span is None:
        return
    for name, value in attributes.items():
        if value is not None:
            span.set_attribute(
                name, value if isinstance(value, str | bool | int | float) else json.dumps(value, default=str)
            )


def record_token_usage(span: Any, *, prompt: int | None, completion: int | None) -> None:
    if span is None or prompt is None:
        return
    names = {
        "llm.tokens.prompt": prompt,
        "llm.tokens.completion": completion or 0,
        "llm.tokens.total": prompt + (completion or 0),
    }
    set_span_attributes(span, **names)
    set_span_attributes(span, **{"gen_ai.usage.input_tokens": prompt, "gen_ai.usage.output_tokens": completion or 0})


def llm_span(request: Request) -> AbstractContextManager[Any]:
    """Around a loop's call of its model."""
    if _tracer is None:
        return _OFF
    messages = json.dumps(request.messages, default=str)
    named = {"gen_ai.agent.name": request.agent} if request.agent else {}
    return trace_llm_call(
        request.model, request.messages, request.tools, **named, **{"gen_ai.input.messages": messages}
    )


def answered(span: Any, answer: Answer) -> None:
    if span is None:
        return
    usage = answer.usage
    record_token_usage(
        span,
        prompt=None if usage is None else usage.input_tokens,
        completion=None if usage is None else usage.output_tokens,
    )
    cost = None if answer.cost_usd is None else float(answer.cost_usd)
    set_span_attributes(span, **{
        "llm.response.finish_reason": answer.finish_reason, "llm.response.has_tool_calls": bool(answer.calls),
        "llm.cost.usd": cost, "gen_ai.response.model": answer.model or None,
        "gen_ai.output.messages": json.dumps([answer.message], default=str),
    })  # fmt: skip
    if usage is not None:
        set_span_attributes(span, **{
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens or None,
        })  # fmt: skip


def tool_span(name: str, arguments: str) -> AbstractContextManager[Any]:
    """Around a tool's call."""
    return _OFF if _tracer is None else _tool_span(name, arguments)


@contextmanager
def _tool_span(name: str, arguments: str) -> Iterator[Any]:
    with _tracer.start_as_current_span(f"tool.{name}") as span:
        named = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.arguments": arguments,
        }
        agent = steps.current_agent() or None
        set_span_attributes(span, **{"tool.name": name, **named, "gen_ai.agent.name": agent})
        yield span


def tool_answered(span: Any, result: ToolResult) -> None:
    record_tool_execution(
        span, argument_count=len(result.arguments) if isinstance(result.arguments, dict) else 0,
        error=result.text if result.is_error else None,
    )  # fmt: skip
    set_span_attributes(span, **{"gen_ai.tool.call.result": result.text})


def record_tool_execution(span: Any, *, argument_count: int, error: str | None = None) -> None:
    if span is None:
        return
    set_span_attributes(span, **{"tool.arg_count": argument_count, "tool.success": error is None, "tool.error": error})
    if error is not None:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, error))
