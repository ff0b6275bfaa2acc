"""The costs explorer: measure by groups over time, why it changed, the rows as a table and as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboards import access, addresses, numbers, periods
from dashboards.costs_figures import colour_of, label_of, over_time
from dashboards.csv_rows import Cell, csv_text
from dashboards.frame import is_fragment
from dashboards.periods import Period
from dashboards.words import GROUP_WORDS, MEASURE_WORDS, value_word
from tracking.errors import Invalid
from tracking.models import Team
from tracking.reports import costs as report
from tracking.reports.agents import colours
from tracking.reports.costs import GROUPS, Line, Measure, Pivot, Value

DEFAULT_RANGE = "now-7d"
PATH = "/costs"
GROUP_CHANGES_SHOWN = 6
_SUMS = (
    "cost_usd",
    "unpriced_calls",
    "runs",
    "llm_calls",
    "tool_calls",
    "errors",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "p50_ms",
    "p95_ms",
)


@dataclass(frozen=True, slots=True)
class Choice:
    word: str
    href: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the address without it."""

    group: str
    word: str
    href: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A line of the table as it is written. ``hrefs`` add its values as filters."""

    names: tuple[tuple[str, str], ...]  # (word, address)
    colour: int
    value: str
    exact: str
    before: str
    line: Line


@dataclass(frozen=True, slots=True)
class Question:
    """What the address asks."""

    measure: Measure
    groups: tuple[str, ...]
    filters: dict[str, list[str | None]]
    period: Period


@require_safe
def explorer(request: HttpRequest) -> HttpResponse:
    team = access.team_for(request)
    question = _question(request, team)
    pivot = _pivot(team, question)
    names, agents = report.key_names(team), colours(team)
    shown = [_shown(request, pivot, place, line, names, agents) for place, line in enumerate(pivot.lines)]
    context = {
        "team": team,
        "period": question.period,
        "pivot": pivot,
        "measure_word": MEASURE_WORDS[pivot.measure],
        "group_words": [GROUP_WORDS[group] for group in pivot.groups],
        "total": _text(pivot.total, pivot.measure),
        "total_before": _text(pivot.total_before, pivot.measure),
        "lines": shown,
        "legend": [
            (label_of(series.key, pivot.groups, names), colour_of(place, series.key, pivot.groups, agents))
            for place, series in enumerate(pivot.series)
        ],
        "figure": over_time(pivot, agents=agents, names=names) if pivot.lines else None,
        "measures": _measures(request, pivot),
        "first_groups": _first_groups(request, pivot),
        "second_groups": _second_groups(request, pivot),
        "chips": _chips(request, question, names),
        "csv_href": addresses.changed("/costs.csv", request.GET),
        "clear_href": addresses.changed(PATH, request.GET, **dict.fromkeys(GROUPS)),
        "change": pivot.change,
        "names": names,
    }
    return render(request, "dashboards/_costs.html" if is_fragment(request) else "dashboards/costs.html", context)


@require_safe
def csv(request: HttpRequest) -> HttpResponse:
    """The table's rows, exact: unknown is an empty cell."""
    team = access.team_for(request)
    question = _question(request, team)
    pivot = _pivot(team, question)
    names = report.key_names(team)
    header = [*pivot.groups, *_SUMS, "share", f"{pivot.measure}_before"]
    text = csv_text(header, (_cells(pivot, line, names) for line in pivot.lines))
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="wflo-{pivot.measure}-by-{"-".join(pivot.groups)}.csv"'
    return response


def _question(request: HttpRequest, team: Team) -> Question:
    """Raises Invalid naming the parameter."""
    asked = request.GET.get("measure", "") or Measure.COST
    if asked not in set(Measure):
        raise Invalid(f'"{asked}" is no measure; there are {", ".join(Measure)}.', field="measure")
    groups = tuple(word.strip() for word in request.GET.get("group_by", "agent").split(",") if word.strip())
    for group in groups:
        if group not in GROUPS:
            raise Invalid(f'"{group}" is no group; there are {", ".join(GROUPS)}.', field="group_by")
    filters: dict[str, list[str | None]] = {
        group: [value or None for value in request.GET.getlist(group)] for group in GROUPS if group in request.GET
    }
    period = periods.from_request(request, zone=team.time_zone, default=DEFAULT_RANGE)
    return Question(Measure(asked), groups or ("agent",), filters, period)


def _pivot(team: Team, question: Question) -> Pivot:
    return report.pivot(
        team,
        measure=question.measure,
        groups=question.groups,
        start=question.period.start,
        end=question.period.end,
        filters=question.filters,
    )


# --- what the page says ----------------------------------------------------------------------------------------------


def _measures(request: HttpRequest, pivot: Pivot) -> list[Choice]:
    return [
        Choice(MEASURE_WORDS[word], addresses.changed(PATH, request.GET, measure=word.value), word is pivot.measure)
        for word in Measure
    ]


def _first_groups(request: HttpRequest, pivot: Pivot) -> list[Choice]:
    rest = pivot.groups[1:]
    return [
        Choice(
            word, _grouped(request, group, *(other for other in rest if _fit(group, other))), group == pivot.groups[0]
        )
        for group, word in GROUP_WORDS.items()
    ]


def _second_groups(request: HttpRequest, pivot: Pivot) -> list[Choice]:
    first, second = pivot.groups[0], pivot.groups[1] if len(pivot.groups) > 1 else None
    if first == "user":
        return []
    fitting = [(group, word) for group, word in GROUP_WORDS.items() if _fit(first, group)]
    choices = [Choice(word, _grouped(request, first, group), group == second) for group, word in fitting]
    return [Choice("nothing else", _grouped(request, first), second is None), *choices]


def _fit(first: str, second: str) -> bool:
    """Users are counted apart: there are too many of them to be combined with anything."""
    return first != second and "user" not in (first, second)


def _grouped(request: HttpRequest, *groups: str) -> str:
    return addresses.changed(PATH, request.GET, group_by=",".join(groups))


def _chips(request: HttpRequest, question: Question, names: dict[str, str]) -> list[Chip]:
    return [
        Chip(
            GROUP_WORDS[group],
            value_word(group, value, names),
            addresses.without(PATH, request.GET, group, value or ""),
        )
        for group, values in question.filters.items()
        for value in values
    ]


def _shown(
    request: HttpRequest, pivot: Pivot, place: int, line: Line, names: dict[str, str], agents: dict[str, int]
) -> Shown:
    words = tuple(
        (value_word(group, value, names), addresses.added(PATH, request.GET, group, value or ""))
        for group, value in zip(pivot.groups, line.key, strict=True)
    )
    exact = numbers.usd_exact(_money(line.value)) if pivot.measure is Measure.COST else numbers.exact(line.value)
    in_chart = line.key if any(series.key == line.key for series in pivot.series) else None
    colour = colour_of(place, in_chart, pivot.groups, agents)
    return Shown(words, colour, _text(line.value, pivot.measure), exact, _text(line.before, pivot.measure), line)


def _text(value: Value, measure: Measure) -> str:
    match measure:
        case Measure.COST:
            return numbers.usd(_money(value))
        case Measure.TOKENS:
            return numbers.tokens(None if value is None else int(value))
        case Measure.P95:
            return numbers.duration(None if value is None else float(value))
        case _:
            return numbers.UNKNOWN if value is None else f"{int(value):,}"


def _money(value: Value) -> Decimal | None:
    return None if value is None else Decimal(value)


def _cells(pivot: Pivot, line: Line, names: dict[str, str]) -> list[Cell]:
    words = [value_word(group, value, names) for group, value in zip(pivot.groups, line.key, strict=True)]
    sums = [getattr(line.row, name) if line.row else 0 for name in _SUMS]
    share = round(line.share, 6) if line.share is not None else None
    return [*words, *sums, share, line.before]
