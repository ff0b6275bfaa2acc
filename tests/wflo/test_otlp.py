"""Events as OTLP: what OpenTelemetry's own reader makes of them."""

from __future__ import annotations

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracking.ingest.normalise import normalise
from tracking.ingest.otlp import decode_json
from wflo import recording
from wflo.decorators import track_agent_cost, track_llm_call, track_tool_call
from wflo.otlp import request_of
from wflo.plain import to_json
from wflo.runs import Run
from wflo.spans import Kind, Status
from wflo.testing import captured

ANSWER = {
    "model": "demo/echo",
    "id": "r1",
    "choices": [{"finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
}


def test_a_run_is_one_trace_with_the_conventions_names() -> None:
    ask = track_llm_call(model="demo/echo", provider="demo")(lambda messages: ANSWER)
    tool = track_tool_call(tool_name="search")(lambda query: [query])

    @track_agent_cost("researcher")
    def work() -> None:
        ask([{"role": "user", "content": "hi"}])
        tool("x")

    with captured() as events, recording.running(Run(name="report")) as run:
        work()
    body = request_of([to_json(event).encode() for event in events], service="tests", release="1.2")
    Parse(body, ExportTraceServiceRequest())
    spans, rejected = normalise(decode_json(body).spans)
    assert rejected == []
    by_kind = {span.kind: span for span in spans if span.parent_id}
    (root,) = [span for span in spans if not span.parent_id]
    assert {span.trace_id for span in spans} == {run.trace_id}
    assert root.name == "report"
    agent, call, search = by_kind[Kind.AGENT], by_kind[Kind.LLM], by_kind[Kind.TOOL]
    assert (agent.parent_id, call.parent_id, search.parent_id) == (root.span_id, agent.span_id, agent.span_id)
    assert (call.model, call.provider, call.response_id) == ("echo", "demo", "r1")
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.cached_tokens) == (7, 3, 2)
    assert (search.tool_name, search.status) == ("search", Status.OK)
    assert call.agent == search.agent == "researcher"


def test_failures_and_things_that_only_begin() -> None:
    @track_tool_call
    def failing() -> None:
        raise ValueError("no luck")

    with captured() as events:
        try:
            failing()
        except ValueError:
            recording.occurred("loop", name="nobody hears it")
    decoded = decode_json(request_of([to_json(event).encode() for event in events], service="tests"))
    assert len(decoded.spans) == 2  # the tool and its run; run.start is no span
    assert {span.status for span in decoded.spans} == {Status.ERROR}
    assert any(span.error == "ValueError: no luck" for span in decoded.spans)
