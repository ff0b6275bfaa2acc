"""Traces: every model call and every tool call is a span. Here they are printed; without an exporter they go to
OTEL_EXPORTER_OTLP_ENDPOINT, or to Wflo at WFLO_ENDPOINT with WFLO_API_KEY."""

import asyncio

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wflo.agents import (
    complete,
    configure_tracing,
    disable_tracing,
    is_tracing_enabled,
    set_span_attributes,
    trace_llm_call,
)


def get_time(zone: str) -> str:
    """The time in a zone."""
    return f"12:00 in {zone}"


async def main() -> None:
    exporter = InMemorySpanExporter()
    configure_tracing(exporter=exporter)
    print(is_tracing_enabled())

    await complete("What time is it in Zurich?", model="demo/agent", tools=[get_time], agent="clock")
    with trace_llm_call("openai:gpt-4o-mini", [{"role": "user", "content": "hi"}], custom_attribute="mine") as span:
        set_span_attributes(span, custom_metric=0.9, user_id="u1")

    for span in exporter.get_finished_spans():
        print(
            span.name, {name: value for name, value in (span.attributes or {}).items() if not name.endswith("messages")}
        )
    disable_tracing()


if __name__ == "__main__":
    asyncio.run(main())
