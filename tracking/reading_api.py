"""The reading doors for programs: runs, one run, its spans, one span. The scope "read" is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router

from tracking.errors import WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.moments import read_moment
from tracking.reading_json import placed_json, run_json, run_whole_json, span_whole_json, write
from tracking.reading_schemas import RunQuery, Runs, RunWhole, SpanQuery, Spans, SpanWhole
from tracking.reports import run as one_run
from tracking.reports import runs as run_list
from tracking.reports import spans as run_spans
from tracking.reports.run_filters import RunFilters, read_filters
from tracking.reports.span import find_span, run_contents

router = Router(auth=ApiKeyAuth(Scope.READ), tags=["Reading"])

Reference = Annotated[str, Path(description="the run's id, external id or trace id")]
Hex = Annotated[str, Path(description="hex digits, as they were sent", max_length=64)]


@router.get("/runs", response=Runs, summary="Runs, newest first")
def list_runs(request: HttpRequest, query: Query[RunQuery]) -> HttpResponse:
    page = run_list.runs(
        _team_id(request),
        filters_of(query, datetime.now(UTC)),
        sort=run_list.read_sort(query.sort),
        limit=query.limit,
        cursor=query.cursor,
    )
    return _answer({"runs": [run_json(run) for run in page.runs], "next_cursor": page.next_cursor})


@router.get("/runs/{run}", response=RunWhole, summary="One run and what it cost by whom")
def get_run(request: HttpRequest, run: Reference) -> HttpResponse:
    team_id = _team_id(request)
    found = one_run.find_run(team_id, run)
    parts = one_run.breakdown(team_id, [found.run])
    asked, answered = run_contents(team_id, found.run)
    linked = one_run.linked_runs(team_id, found.run)
    return _answer(run_whole_json(found.run, parts, found.metadata, asked, answered, linked))


@router.get("/runs/{run}/spans", response=Spans, summary="A run's spans in reading order")
def list_spans(request: HttpRequest, run: Reference, query: Query[SpanQuery]) -> HttpResponse:
    team_id = _team_id(request)
    found = one_run.find_run(team_id, run).run
    limit = run_list.page_rows(run_spans.ONE_READ_SPANS_MAX if query.limit is None else query.limit)
    whole = run_spans.tree(team_id, [found])
    page = run_spans.page(team_id, whole, limit=limit, cursor=query.cursor)
    spans = [placed_json(place, span) for place, span in page.spans]
    return _answer({"spans": spans, "next_cursor": page.next_cursor})


@router.get("/spans/{trace_id}/{span_id}", response=SpanWhole, summary="One span whole")
def get_span(request: HttpRequest, trace_id: Hex, span_id: Hex) -> HttpResponse:
    return _answer(span_whole_json(find_span(_team_id(request), trace_id, span_id)))


def filters_of(query: RunQuery, now: datetime) -> RunFilters:
    """Raises Invalid naming the field."""
    values: dict[str, Any] = query.model_dump(exclude={"from_", "to", "sort", "limit", "cursor"})
    values["start"] = read_moment(query.from_, now=now, field="from")
    values["end"] = read_moment(query.to, now=now, field="to")
    return read_filters(values)


def _team_id(request: HttpRequest) -> int:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller.team_id


def _answer(value: dict[str, Any]) -> HttpResponse:
    return HttpResponse(write(value), content_type="application/json")
