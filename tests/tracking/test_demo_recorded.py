"""Recordings of real frameworks moved in time: every time by as much, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracking.demo.recorded import APART, FOLDER, bodies, moved

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)


def spans_of(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def requests_of(case: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(case.glob("*.pb"))]


def without_times(body: bytes) -> bytes:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.ClearField("start_time_unix_nano")
                span.ClearField("end_time_unix_nano")
                for event in span.events:
                    event.ClearField("time_unix_nano")
    return request.SerializeToString(deterministic=True)


def test_every_time_moves_by_as_much_and_nothing_else_changes() -> None:
    cases = [case for case in sorted((settings.BASE_DIR / FOLDER).iterdir()) if case.is_dir()]
    assert len(cases) >= 4
    for case in cases:
        before = requests_of(case)
        after = moved(before, NOW)
        assert [without_times(body) for body in after] == [without_times(body) for body in before]
        old = [span for body in before for span in spans_of(body)]
        new = [span for body in after for span in spans_of(body)]
        shifts = {n.start_time_unix_nano - o.start_time_unix_nano for o, n in zip(old, new, strict=True)}
        shifts |= {n.end_time_unix_nano - o.end_time_unix_nano for o, n in zip(old, new, strict=True)}
        for o, n in zip(old, new, strict=True):
            shifts |= {b.time_unix_nano - a.time_unix_nano for a, b in zip(o.events, n.events, strict=True)}
        assert len(shifts) == 1, case.name
        assert max(span.end_time_unix_nano for span in new) == int(NOW.timestamp()) * 10**9


def test_the_recordings_end_one_after_the_other_back_from_yesterday() -> None:
    ends = {max(span.end_time_unix_nano for span in spans_of(body)) for body in bodies(NOW)}
    newest = datetime.fromtimestamp(max(ends) / 10**9, UTC)
    assert newest == NOW - timedelta(days=1)
    assert min(ends) / 10**9 > (newest - APART * 4 - timedelta(hours=1)).timestamp()
