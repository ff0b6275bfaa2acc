"""What recording one span costs its caller, by library: ``python -m bench.sdk_spans wflo http://127.0.0.1:9`` prints
microseconds (p50, p99), and ends as a process does whose server never answers."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable

from bench.workload import text

SPANS, WARM, PROMPT_CHARACTERS = 20_000, 500, 2_000


def wflo_span(endpoint: str, prompt: str) -> Callable[[], None]:
    from wflo import config, context, recording
    from wflo.runs import Run
    from wflo.spans import Kind

    config.configure(endpoint=endpoint, api_key="bench")
    run = Run(name="bench")
    recording.opened(run)
    scope = context.Scope(run)
    messages = [{"role": "user", "content": prompt}]

    def one() -> None:
        span = recording.begin(scope, Kind.LLM, "chat gpt-4o-mini", input=messages)
        span.end(output="done", model="gpt-4o-mini", input_tokens=500, output_tokens=20)

    return one


def opentelemetry_span(endpoint: str, prompt: str) -> Callable[[], None]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    tracer = provider.get_tracer("bench")
    messages = json.dumps([{"role": "user", "content": prompt}])

    def one() -> None:
        span = tracer.start_span("chat gpt-4o-mini")
        span.set_attribute("gen_ai.input.messages", messages)
        span.set_attribute("gen_ai.response.model", "gpt-4o-mini")
        span.set_attribute("gen_ai.usage.input_tokens", 500)
        span.set_attribute("gen_ai.usage.output_tokens", 20)
        span.end()

    return one


def main() -> None:
    name, endpoint = sys.argv[1:]
    prompt = text(random.Random(3), PROMPT_CHARACTERS)
    one = {"wflo": wflo_span, "opentelemetry": opentelemetry_span}[name](endpoint, prompt)
    took: list[int] = []
    for _ in range(WARM + SPANS):
        began = time.perf_counter_ns()
        one()
        took.append(time.perf_counter_ns() - began)
    ordered = sorted(took[WARM:])
    sys.stdout.write(json.dumps([ordered[SPANS // 2] / 1000, ordered[SPANS * 99 // 100] / 1000]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
