"""The run page: header, transcript, waterfall, table of spans, ledger, metadata, and the drawer of one span.

One address says everything (`tab`, `span`, `linked`, `find`, `after`). htmx asks the same address for a part of the page,
named by its target; opened in a browser, each shows the whole page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards import checkpoint_tab, waterfall
from dashboards.access import seat_for
from dashboards.budget_cards import bar, nearest
from dashboards.messages import cut, spoken, written
from dashboards.span_card import raw_json, span_card
from tracking.checkpoints import store
from tracking.errors import Invalid, NotFound
from tracking.models import Run, Team
from tracking.queue import states
from tracking.reports import run as one_run
from tracking.reports import spans as run_spans
from tracking.reports.lineage import lineage
from tracking.reports.loops import loops_of
from tracking.reports.run import Breakdown, Found
from tracking.reports.run_ledger import run_ledger
from tracking.reports.runs import RunRow, agent_colours, neighbours
from tracking.reports.span import find_span, run_contents
from tracking.reports.span_tree import Place, costliest_path, step_numbers
from tracking.reports.spans import ReadSpan, Tree
from tracking.reports.transcript import first_error, transcript
from tracking.teams import Role

ROWS = 200  # read and drawn at first, and with every scroll
AGENTS_IN_BAR = 6
DIAMONDS = 500
TABS = ("transcript", "waterfall", "spans", "checkpoints", "ledger", "metadata")
DEFAULT_TAB = "waterfall"
FIND_CHARACTERS_MAX = 200
_PARTS = ("head", "body", "rows", "entries", "drawer", "raw")


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the run the address asks for."""

    reference: str
    tab: str
    span: str
    is_linked: bool
    find: str
    after: str
    checkpoint: str = ""
    against: str = ""

    def query(self, **changed: str | None) -> str:
        held = {
            "tab": "" if self.tab == DEFAULT_TAB else self.tab,
            "linked": "1" if self.is_linked else "",
            "find": self.find,
            "span": self.span,
            "checkpoint": self.checkpoint,
        } | {name: value or "" for name, value in changed.items()}
        return f"?{urlencode({name: value for name, value in held.items() if value})}"


def _asked(request: HttpRequest, reference: str) -> Asked:
    tab = request.GET.get("tab", DEFAULT_TAB)
    find = " ".join(request.GET.get("find", "").replace("\0", "").split())
    if tab not in TABS:
        raise Invalid(f"tab is one of {', '.join(TABS)}.", field="tab")
    if len(find) > FIND_CHARACTERS_MAX:
        raise Invalid(f"A search has at most {FIND_CHARACTERS_MAX} characters.", field="find")
    return Asked(
        reference,
        tab,
        request.GET.get("span", "")[:80],
        request.GET.get("linked") == "1",
        find,
        request.GET.get("after", ""),
        request.GET.get("checkpoint", "")[:40],
        request.GET.get("against", "")[:40],
    )


@require_GET
def run(request: HttpRequest, reference: str) -> HttpResponse:
    seat = seat_for(request)
    team = seat.team
    asked = _asked(request, reference)
    found = one_run.find_run(team.pk, reference)
    part = _part(request)
    if part in ("drawer", "raw"):
        context = {"asked": asked, "run": found.run, **_drawer(team, asked, found.run, has_raw=part == "raw")}
        return render(request, f"dashboards/_run_{part}.html", context)
    linked = one_run.linked_runs(team.pk, found.run)
    shown = _in_order([found.run, *linked]) if asked.is_linked else [found.run]
    context = _common(team, asked, found.run, linked, shown) | {"may_kill": seat.role >= Role.MEMBER}
    if part == "head":
        context |= _head(team, asked, found, shown)
        return render(request, "dashboards/_run_head.html", context, status=200 if found.run.is_running else 286)
    context |= _BODIES[asked.tab](team, asked, found, shown)
    if part == "body":
        return render(request, "dashboards/_run_body.html", context, status=200 if found.run.is_running else 286)
    if part in ("rows", "entries"):
        return render(request, _MORE[asked.tab], context)
    context |= _head(team, asked, found, shown) | _drawer(team, asked, found.run, has_raw=False)
    context["neighbours"] = neighbours(team.pk, found.run)
    return render(request, "dashboards/run.html", context)


def _part(request: HttpRequest) -> str:
    htmx = getattr(request, "htmx", None)
    if not htmx or htmx.history_restore_request:
        return ""
    wanted = request.GET.get("part") or (htmx.target or "").removeprefix("run-")
    return wanted if wanted in _PARTS else ""


def _in_order(runs: list[RunRow]) -> list[RunRow]:
    return sorted(runs, key=lambda run: (run.started_at, run.id))


def _common(team: Team, asked: Asked, run: RunRow, linked: list[RunRow], shown: list[RunRow]) -> dict[str, Any]:
    return {
        "team": team,
        "here": f"/runs/{run.id}",
        "asked": asked,
        "run": run,
        "shown": shown,
        "linked": linked,
        "now": datetime.now(UTC),
        "is_live": any(each.is_running for each in shown),
        "colours": agent_colours(team.pk, [name for each in shown for name in each.agents]),
        "tabs": [
            ("transcript", "Transcript", None),
            ("waterfall", "Waterfall", None),
            ("spans", "Spans", sum(each.span_count for each in shown)),
            ("checkpoints", "Checkpoints", None),
            ("ledger", "Ledger", None),
            ("metadata", "Metadata", None),
        ],
    }


# --- header and strip -----------------------------------------------------------------------------------------------


def _head(team: Team, asked: Asked, found: Found, shown: list[RunRow]) -> dict[str, Any]:
    parts = one_run.breakdown(team.pk, shown)
    run = found.run
    failure = first_error(team.pk, run) if run.errors or run.status == "failed" else None
    return {
        **_way(team, asked, run),
        "parts": parts,
        "agent_bar": _agent_bar(parts, agent_colours(team.pk, [share.key for share in parts.by_agent if share.key])),
        "totals": _totals(shown),
        "failure": failure,
        "failure_title": waterfall.title_of(failure) if failure else "",
        "failure_reference": failure.id if failure else "",
        "loops": loops_of(team, run) if run.loop_detected else [],
        "killed": one_run.killed(team.pk, run) if run.status == "killed" else None,
    }


def _way(team: Team, asked: Asked, run: RunRow) -> dict[str, Any]:
    """Where a run goes on from and went on; the job it is of; the checkpoint that "Roll back" means."""
    name = run.external_id or run.trace_id.hex
    latest = store.latest_version(team, name)
    chosen = asked.checkpoint if asked.checkpoint.isdecimal() else ""
    is_jobs = run.origin == Run.Origin.QUEUE
    return {
        "lineage": lineage(team, name) if latest is not None or run.parent_run_id or is_jobs else None,
        "job": states.job_of_run(team, name) if is_jobs else None,
        "back_to": "" if latest is None else chosen or str(latest),
    }


def _totals(shown: list[RunRow]) -> dict[str, Any]:
    known = [run.cost_usd for run in shown if run.cost_usd is not None]
    start = min(run.started_at for run in shown)
    end = max(run.ended_at or run.last_seen_at for run in shown)
    return {
        "cost_usd": sum(known[1:], known[0]) if known else None,
        "unpriced_calls": sum(run.unpriced_calls for run in shown),
        "estimated_calls": sum(run.estimated_calls for run in shown),
        "total_tokens": sum(run.total_tokens for run in shown),
        "input_tokens": sum(run.input_tokens for run in shown),
        "output_tokens": sum(run.output_tokens for run in shown),
        "cached_tokens": sum(run.cached_tokens for run in shown),
        "embedding_tokens": sum(run.embedding_tokens for run in shown),
        "span_count": sum(run.span_count for run in shown),
        "llm_calls": sum(run.llm_calls for run in shown),
        "tool_calls": sum(run.tool_calls for run in shown),
        "errors": sum(run.errors for run in shown),
        "length_ms": (end - start).total_seconds() * 1000,
        "started_at": start,
    }


def _agent_bar(parts: Breakdown, colours: dict[str, int]) -> list[dict[str, Any]]:
    """Agents with a known cost, widest first, each with its share; those beyond AGENTS_IN_BAR as "others"."""
    priced = [(share.key or "unattributed", share.known_usd) for share in parts.by_agent if share.known_usd]
    total = sum((usd for _, usd in priced), Decimal(0))
    rest = priced[AGENTS_IN_BAR:]
    slices = priced[:AGENTS_IN_BAR]
    if rest:
        slices.append((f"{len(rest)} others", sum((usd for _, usd in rest), Decimal(0))))
    shown, before = [], Decimal(0)
    for name, usd in slices:
        shown.append(_slice(name, colours.get(name, 6), usd, total, before))
        before += usd
    return shown


def _slice(name: str, colour: int, cost_usd: Decimal, total_usd: Decimal, before_usd: Decimal) -> dict[str, Any]:
    return {
        "name": name,
        "colour": colour,
        "cost_usd": cost_usd,
        "x": f"{before_usd / total_usd * 100:.2f}%",
        "width": f"{cost_usd / total_usd * 100:.2f}%",
    }


# --- the body of each tab -------------------------------------------------------------------------------------------


def _waterfall(team: Team, asked: Asked, found: Found, shown: list[RunRow]) -> dict[str, Any]:
    whole = run_spans.tree(team.pk, shown)
    now_us = int(datetime.now(UTC).timestamp() * 1_000_000)
    is_live = any(run.is_running for run in shown)
    on = waterfall.scale(whole.places, now_us if is_live else None)
    indexes, next_after = _window(team, asked, whole, shown)
    places = [whole.places[index] for index in indexes]
    run_spans.load(team.pk, whole, places)
    steps, path = step_numbers(whole.places), costliest_path(whole.places)
    until = now_us if is_live else on.start_us + on.length_us
    rows = [
        waterfall.row(
            place,
            whole.row(place),
            on,
            index=index,
            step=steps.get(index),
            now_us=until,
            costliest=index in path,
            reference=_reference(found.run, whole.row(place)),
            chosen=asked.span == _reference(found.run, whole.row(place)),
        )
        for index, place in zip(indexes, places, strict=True)
        if place.node.key in whole.rows
    ]
    return {
        "rows": rows,
        "scale": on,
        "cost_line": waterfall.cost_line(whole.places, on),
        "diamonds": _diamonds(team, found.run, on),
        "span_total": len(whole.places),
        "next_after": next_after,
        "is_large": len(whole.places) > ROWS,
        "orphans": sum(place.how == "orphan" for place in whole.places),
        "first_orphan": _first_orphan(whole.places),
    }


def _diamonds(team: Team, run: RunRow, on: waterfall.Scale) -> list[waterfall.Diamond]:
    """The latest checkpoints of the run."""
    name = run.external_id or run.trace_id.hex
    saved = store.of_run(team, name, limit=DIAMONDS)
    if not saved:
        return []
    rows = [
        (one.version, one.name, int(one.created_at.timestamp() * 1_000_000), one.superseded_at is not None)
        for one in saved
    ]
    return waterfall.diamonds(on, rows, lineage(team, name).versions)


def _reference(run: RunRow, span: ReadSpan) -> str:
    """How the address names a span: by its id, and one of a linked run with its trace before it."""
    return span.id if span.trace_id == run.trace_id else f"{span.trace_id.hex}.{span.id}"


def _first_orphan(places: list[Place]) -> int | None:
    return next((index for index, place in enumerate(places) if place.how == "orphan"), None)


def _window(team: Team, asked: Asked, whole: Tree, shown: list[RunRow]) -> tuple[list[int], str]:
    """Places to draw, and where the next lot begins ('' at the end)."""
    if asked.find:
        keys = set(run_spans.find_in_run(team.pk, shown, asked.find))
        return [index for index, place in enumerate(whole.places) if place.node.key in keys], ""
    if asked.after and not asked.after.isdecimal():
        raise Invalid("after is the number of a row.", field="after")
    start = min(int(asked.after[:9] or 0), len(whole.places))
    end = min(start + ROWS, len(whole.places))
    return list(range(start, end)), str(end) if end < len(whole.places) else ""


def _transcript(team: Team, asked: Asked, found: Found, shown: list[RunRow]) -> dict[str, Any]:
    page = transcript(team.pk, shown, cursor=asked.after or None)
    entries = [
        {
            "entry": entry,
            "title": waterfall.title_of(entry.span),
            "reference": _reference(found.run, entry.span),
            "told": spoken(entry.told),
            "said": spoken(entry.said),
            "asked": cut(written(entry.asked_text)) if entry.asked_text and not entry.told else None,
            "answered": cut(written(entry.answer_text)) if entry.answer_text and not entry.said else None,
        }
        for entry in page.entries
    ]
    asked_text, answered_text = ("", "") if asked.after else run_contents(team.pk, found.run)
    return {
        "entries": entries,
        "next_after": page.next_cursor or "",
        "run_input": cut(written(asked_text)) if asked_text else None,
        "run_output": cut(written(answered_text)) if answered_text else None,
    }


def _ledger(team: Team, asked: Asked, found: Found, shown: list[RunRow]) -> dict[str, Any]:
    ledger = run_ledger(team, shown, cursor=asked.after or None)
    drawn = [(one, main := nearest(one.standing), bar(main, marks=one.budget.alert_at)) for one in ledger.drawn]
    return {"ledger": ledger, "drawn": drawn, "next_after": ledger.next_cursor or ""}


def _metadata(team: Team, asked: Asked, found: Found, shown: list[RunRow]) -> dict[str, Any]:
    run, parts = found.run, one_run.breakdown(team.pk, shown)
    return {
        "metadata": cut(written(found.metadata)) if found.metadata else None,
        "groups": [("agent", parts.by_agent), ("model", parts.by_model), ("tool", parts.by_tool)],
        "facts": [
            ("Run id", str(run.id)),
            ("Trace id", run.trace_id.hex),
            ("External id", run.external_id),
            ("Name", run.name),
            ("Came by", run.origin),
            ("Session", run.session_id),
            ("User", run.user_id),
            ("Environment", run.environment),
            ("Release", run.release),
            ("Service", run.service),
        ],
    }


def _checkpoints(team: Team, asked: Asked, found: Found, shown: list[RunRow]) -> dict[str, Any]:
    return checkpoint_tab.body(team, found.run, which=asked.checkpoint, against=asked.against, after=asked.after)


_BODIES = {
    "checkpoints": _checkpoints,
    "waterfall": _waterfall,
    "spans": _waterfall,
    "transcript": _transcript,
    "ledger": _ledger,
    "metadata": _metadata,
}
_MORE = {
    "checkpoints": "dashboards/_run_body.html",
    "waterfall": "dashboards/_run_rows.html",
    "spans": "dashboards/_run_span_rows.html",
    "transcript": "dashboards/_run_entries.html",
    "ledger": "dashboards/_run_body.html",
    "metadata": "dashboards/_run_body.html",
}


# --- the drawer -----------------------------------------------------------------------------------------------------


def _drawer(team: Team, asked: Asked, run: RunRow, *, has_raw: bool) -> dict[str, Any]:
    """``span``: a span id of this run, or trace.span of a linked one."""
    if not asked.span:
        return {"card": None}
    trace, _, span_id = asked.span.rpartition(".")
    try:
        whole = find_span(team.pk, trace or run.trace_id.hex, span_id)
    except NotFound as error:
        raise Http404(error.message) from error
    return {"card": span_card(team.pk, whole), "raw": raw_json(whole) if has_raw else None}
