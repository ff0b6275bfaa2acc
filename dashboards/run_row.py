"""A row of the runs list. Made here and not in a template: fifty of them are most of what that page costs.

Every text of a run goes through ``escape``; what does not is made of our own words and numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import datetime
from html import escape

from django.utils.safestring import SafeString, mark_safe

from dashboards import numbers
from dashboards.templatetags.wflo import agent_chip, badge, status, usd
from tracking.reports.runs import RunRow

AGENTS_SHOWN = 2
REASON_CHARACTERS = 60
_LANE_LOW_MS, _LANE_HIGH_MS = 100.0, 3_600_000.0


def run_row(
    run: RunRow, *, columns: Collection[str], colours: Mapping[str, int], now: datetime, may_kill: bool = False
) -> SafeString:
    """One ``<tr>``. ``columns``: the chosen ones of ``views.runs.COLUMNS``; ``colours``: of the agents, by name.
    Each can be ticked, to be compared with another; ``may_kill``: those that run also to be killed."""
    ends = ' form="kill-runs"' if may_kill and run.is_running else ""
    tick = f'<input type="checkbox" name="run" value="{run.id}"{ends} data-select aria-label="Tick {run.short_id}">'
    shown = tick + status("looping" if run.loop_detected and run.is_running else run.status)
    cells = [f'<td class="a-st">{shown}</td>', f'<td class="a-title">{_title(run, colours)}</td>']
    if "model" in columns:
        cells.append(f'<td class="a-tok">{_models(run)}</td>')
    if "user" in columns:
        cells.append(f'<td class="a-tok"><bdi class="clip">{escape(run.user_id or "")}</bdi></td>')
    if "session" in columns:
        cells.append(f'<td class="a-tok"><bdi class="clip">{escape(run.session_id or "")}</bdi></td>')
    if "environment" in columns:
        cells.append(f'<td class="a-tok"><bdi class="clip">{escape(run.environment or "")}</bdi></td>')
    cells.append(f'<td class="num a-cost">{_cost(run)}</td>')
    if "tokens" in columns:
        told = numbers.tokens(run.total_tokens) if run.llm_calls or run.total_tokens else ""
        cells.append(f'<td class="num a-tok">{told}</td>')
    if "duration" in columns:
        cells.append(f'<td class="a-dur">{_duration(run)}</td>')
    if "steps" in columns:
        cells.append(f'<td class="num a-step">{run.span_count:,}</td>')
    cells.append(f'<td class="num a-age">{_age(run, now)}</td>')
    version = f"{run.status} {run.span_count} {run.cost_usd}"
    return mark_safe(f'<tr data-row data-key="{run.id}" data-version="{version}">{"".join(cells)}</tr>')


def _title(run: RunRow, colours: Mapping[str, int]) -> str:
    chips = "".join(agent_chip(name, colours) for name in run.agents[:AGENTS_SHOWN])
    if len(run.agents) > AGENTS_SHOWN:
        every = escape(", ".join(run.agents))
        chips += f'<span class="faint" title="{every}">+{len(run.agents) - AGENTS_SHOWN}</span>'
    return (
        f'<a class="title" href="/runs/{run.id}" data-full><bdi>{escape(run.title or run.name)}</bdi></a>'
        f'<span class="sub"><span class="mono">{run.short_id}</span>{_reason(run)}{chips}</span>'
    )


def _reason(run: RunRow) -> str:
    """The one badge that says why a run stands out."""
    if run.status == "failed" and run.error:
        cut = run.error
        if len(cut) > REASON_CHARACTERS:
            cut = f"{cut[: REASON_CHARACTERS - 1]}…"
        return f'<span class="badge error" title="{escape(run.error)}"><bdi class="clip">{escape(cut)}</bdi></span>'
    if run.errors:
        return badge("", f"{numbers.tokens(run.errors)} failed {'step' if run.errors == 1 else 'steps'}")
    return ""


def _models(run: RunRow) -> str:
    if not run.model_names:
        return ""
    more = f' <span class="faint">+{len(run.model_names) - 1}</span>' if len(run.model_names) > 1 else ""
    every, first = escape(", ".join(run.model_names)), escape(run.model_names[0])
    return f'<span class="clip" title="{every}">{first}{more}</span>'


def _cost(run: RunRow) -> str:
    if run.cost_status == "unknown":
        return badge("unknown", "unpriced", "unknown")
    mark = ""
    if run.cost_status == "partial":
        mark = "<br>" + badge("unknown", "+ unpriced", "unknown", "Some calls have no price")
    elif run.cost_status == "estimated":
        mark = "<br>" + badge(
            "", "estimated", "", "Some figures were repaired or priced at the rate next to the right one"
        )
    return f"<b>{usd(run.cost_usd)}</b>{mark}"


def _duration(run: RunRow) -> str:
    """The duration's bar on a log scale from 0.1 s to 1 h, and the duration."""
    length = min(max(run.seen_ms, _LANE_LOW_MS), _LANE_HIGH_MS)
    share = math.log(length / _LANE_LOW_MS) / math.log(_LANE_HIGH_MS / _LANE_LOW_MS)
    style = "floop" if run.loop_detected else {"failed": "ferr", "killed": "fkill"}.get(run.status, "fdur")
    return (
        '<span class="durcell"><svg class="lane" aria-hidden="true"><rect class="ffree" width="100%" height="100%" rx="3"/>'
        f'<rect class="{style}" width="{max(share * 100, 3):.0f}%" height="100%" rx="3"/></svg>'
        f"<span>{numbers.duration(run.seen_ms)}</span></span>"
    )


def _age(run: RunRow, now: datetime) -> str:
    if run.ended_at is None:
        return '<span class="live">live</span>' if run.is_running else ""
    stamp = numbers.stamp(run.ended_at)
    age = numbers.ago(run.ended_at, now)
    return f'<span class="faint"><time datetime="{run.ended_at.isoformat()}" title="{stamp}">{age}</time></span>'
