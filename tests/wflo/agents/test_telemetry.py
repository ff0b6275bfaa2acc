"""Traces of agents: what is on their spans, where they go, and that nothing happens where they are off."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wflo.agents import (
    Agent,
    AgentExecutor,
    InvalidRequestError,
    PipelineWorkflow,
    Says,
    Scripted,
    complete,
    configure_tracing,
    disable_tracing,
    flush_tracing,
    is_tracing_enabled,
    record_token_usage,
    record_tool_execution,
    set_span_attributes,
    settings,
    stream_complete,
    trace_llm_call,
)  # fmt: skip
from wflo.agents.telemetry import traces_address
from wflo.usage import Usage


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    assert configure_tracing(exporter=exporter)
    yield exporter
    disable_tracing()


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


SCRIPT = [
    Says(
        calls=[("add", {"a": 1, "b": 2}), ("add", {"a": "x", "b": 2})],
        usage=Usage(input_tokens=9, output_tokens=4, cached_tokens=5),
    ),
    "three",
]


def by_name(exporter: InMemorySpanExporter) -> dict[str, Any]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_every_attribute_of_calls_and_tools(spans: InMemorySpanExporter) -> None:
    asyncio.run(complete("sum", model="openai:gpt-4o-mini", ask=Scripted(SCRIPT), tools=[add], agent="adder"))
    first, second = [
        dict(span.attributes or {}) for span in spans.get_finished_spans() if span.name == "llm.completion"
    ]
    expected = {
        "llm.provider": "openai", "llm.model": "gpt-4o-mini", "llm.messages_count": 2, "llm.tools_available": 1, "llm.tokens.prompt": 9,
        "llm.tokens.completion": 4, "llm.tokens.total": 13, "llm.response.finish_reason": "tool_calls", "llm.response.has_tool_calls": True,
        "gen_ai.usage.input_tokens": 9, "gen_ai.usage.cache_read.input_tokens": 5, "gen_ai.agent.name": "adder", "gen_ai.operation.name": "chat",
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    assert second["llm.response.has_tool_calls"] is False
    tools = [span for span in spans.get_finished_spans() if span.name == "tool.add"]
    bad, good = sorted(tools, key=lambda span: bool((span.attributes or {})["tool.success"]))
    assert {name: dict(good.attributes or {})[name] for name in ("tool.name", "tool.arg_count", "tool.success")} == {
        "tool.name": "add", "tool.arg_count": 2, "tool.success": True,
    }  # fmt: skip
    told = dict(bad.attributes or {})
    assert (told["tool.success"], "a: Input should be a valid integer" in str(told["tool.error"])) == (False, True)
    assert bad.status.status_code.name == "ERROR"


def test_names_of_agents_and_workflows_are_on_the_spans(spans: InMemorySpanExporter) -> None:
    stages = [(name, AgentExecutor(Agent(name, model="demo/echo"))) for name in ("writer", "editor")]
    asyncio.run(PipelineWorkflow(stages).execute("x"))
    told = [
        (dict(span.attributes or {})["gen_ai.agent.name"], dict(span.attributes or {})["gen_ai.workflow.name"])
        for span in spans.get_finished_spans()
    ]
    assert told == [("writer", "pipeline"), ("editor", "pipeline")]
    assert dict(spans.get_finished_spans()[0].attributes or {})["llm.cost.usd"] > 0


def test_a_stream_and_a_failure_are_traced(spans: InMemorySpanExporter) -> None:
    async def read() -> None:
        async for _ in stream_complete("one two", model="demo/echo"):
            pass

    asyncio.run(read())
    assert dict(spans.get_finished_spans()[0].attributes or {})["llm.response.finish_reason"] == "stop"
    with pytest.raises(InvalidRequestError):
        asyncio.run(complete("x", ask=Scripted([InvalidRequestError("no")])))
    failed = spans.get_finished_spans()[1]
    assert failed.status.status_code.name == "ERROR"
    assert failed.events[0].name == "exception"


def test_calls_of_your_own(spans: InMemorySpanExporter) -> None:
    with trace_llm_call("anthropic:claude", [1, 2], custom_attribute="x", user_id=7) as span:
        set_span_attributes(span, custom_metric=0.5, nothing=None, listed=[1])
        record_token_usage(span, prompt=3, completion=None)
        record_tool_execution(span, argument_count=1)
    told = dict(by_name(spans)["llm.completion"].attributes or {})
    assert {name: told[name] for name in ("llm.provider", "llm.model", "custom_attribute", "user_id", "custom_metric", "listed", "llm.tokens.total")} == {
        "llm.provider": "anthropic", "llm.model": "claude", "custom_attribute": "x", "user_id": 7, "custom_metric": 0.5, "listed": "[1]",
        "llm.tokens.total": 3,
    }  # fmt: skip
    assert "nothing" not in told


def test_off_nothing_happens_and_nothing_is_imported() -> None:
    assert not is_tracing_enabled()
    assert configure_tracing() is False
    with trace_llm_call("m", []) as span:
        assert span is None
        set_span_attributes(span, a=1)
        record_token_usage(span, prompt=1, completion=1)
        record_tool_execution(span, argument_count=0, error="x")
    import subprocess

    code = "import sys, wflo.agents; assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_where_spans_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 3 of the original: the variable was never read, and its value ends in the path or not."""
    for written in (
        "http://127.0.0.1:1",
        "http://127.0.0.1:1/",
        "http://127.0.0.1:1/v1/traces",
        "http://127.0.0.1:1/v1/traces/",
    ):
        assert traces_address(written) == "http://127.0.0.1:1/v1/traces"
    from wflo.agents import telemetry

    settings.enable_tracing = True
    try:
        assert configure_tracing() is False, "nowhere to send them"
        assert not is_tracing_enabled()
    finally:
        settings.enable_tracing = False
    seen: list[tuple[str, str | None]] = []
    monkeypatch.setattr(
        telemetry, "_exporter", lambda address, key: seen.append((address, key)) or InMemorySpanExporter()
    )
    settings.enable_tracing = True
    try:
        for variables in (
            {"WFLO_ENDPOINT": "http://127.0.0.1:3/"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:2"},
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"},
        ):  # fmt: skip
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            assert configure_tracing(api_key="k")
    finally:
        settings.enable_tracing = False
        disable_tracing()
    assert [address for address, _ in seen] == [
        "http://127.0.0.1:3",
        "http://127.0.0.1:2",
        "http://127.0.0.1:1/v1/traces",
    ]


def test_spans_are_sent_with_key_and_experiment() -> None:
    got: list[tuple[str, dict[str, str]]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.mlflow_tracking_uri, settings.mlflow_experiment_name = "http://127.0.0.1:5", "mine"
    try:
        assert configure_tracing(f"http://127.0.0.1:{server.server_port}", api_key="wf_key")
        asyncio.run(complete("x", model="demo/echo"))
        assert flush_tracing()
    finally:
        settings.mlflow_tracking_uri, settings.mlflow_experiment_name = None, "wflo"
        disable_tracing()
        server.shutdown()
        server.server_close()
    path, headers = got[0]
    assert path == "/v1/traces"
    assert (headers["authorization"], headers["x-mlflow-experiment-name"]) == ("Bearer wf_key", "mine")
