"""Two runs side by side: which step of one stands for which of the other, where they part, and what that cost.

Steps that both have because one goes on from the other (or both from a third) were paid for once, and are counted once.
Everything else is aligned by what it is and what it was asked (``alignment``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from tracking.reports import step_words
from tracking.reports.alignment import aligned
from tracking.reports.run_steps import Key, RunSteps, Spent, Step, spent, steps_of
from tracking.reports.runs import RunRow
from tracking.reports.span import run_contents
from tracking.reports.step_words import Marks
from tracking.reports.text_difference import Line, text_difference
from wflo.spans import Kind

SHARED, SAME, CHANGED, ONLY_A, ONLY_B = "shared", "same", "changed", "only_a", "only_b"


@dataclass(frozen=True, slots=True)
class Row:
    """Two steps that stand for one another, or one alone. ``differs``: kind, tool, agent, model, asked, answered, status.
    ``so_far``: what either run spent until here, ``ms`` being the time since its beginning.
    """

    number: int
    how: str
    a: Step | None
    b: Step | None
    differs: tuple[str, ...]
    so_far_a: Spent
    so_far_b: Spent

    @property
    def is_different(self) -> bool:
        return self.how not in (SHARED, SAME)

    @property
    def difference_usd(self) -> Decimal | None:
        """What b paid more than a here: nothing for what both share; None where a price is not known."""
        if self.how == SHARED:
            return Decimal(0)
        costs = [Decimal(0) if step is None else step.cost_usd for step in (self.a, self.b)]
        return None if costs[0] is None or costs[1] is None else costs[1] - costs[0]

    @property
    def difference_so_far_usd(self) -> Decimal | None:
        return _less(self.so_far_b, self.so_far_a)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that can be said of b beside a. ``code``: cheaper, dearer, same_cost, unknown_cost, faster, slower, fewer_tokens,
    more_tokens, other_tools, other_models, same_answer, other_answer, other_end. ``amount`` is how much; ``a`` and ``b`` the
    names that only one has.
    """

    code: str
    amount: Decimal | float | int | None = None
    a: tuple[str, ...] = ()
    b: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """``shared`` is what both have; ``together`` what both cost, that counted once. ``is_by_words``: all steps were compared by
    what was asked and answered, else by numbers of tokens. ``is_exact``: see ``alignment``; ``is_cut``: a run has more steps.
    """

    a: RunSteps
    b: RunSteps
    rows: list[Row]
    shared: Spent
    together: Spent
    verdicts: list[Verdict]
    answers: list[Line]
    is_by_words: bool
    is_exact: bool
    is_cut: bool

    @property
    def divergence(self) -> int | None:
        """The number of the first row that differs."""
        return next((row.number for row in self.rows if row.is_different), None)

    @property
    def prefix(self) -> int:
        """How many rows at the beginning both share."""
        return next((place for place, row in enumerate(self.rows) if row.how != SHARED), len(self.rows))

    @property
    def difference_usd(self) -> Decimal | None:
        """What b took more than a, from where they part; None where not all of that has a price."""
        return _apart(self.a, self.b, self.shared)


def compare(team_id: int, a: RunRow, b: RunRow) -> Comparison:
    one, other = steps_of(team_id, a), steps_of(team_id, b)
    every = [*one.steps, *other.steps]
    distinct = list({step.key: step for step in every}.values())
    is_by_words = step_words.are_few(team_id, distinct)
    marks = step_words.marks_by_words(team_id, distinct) if is_by_words else step_words.marks_by_tokens(distinct)
    both = {step.key for step in one.steps} & {step.key for step in other.steps}
    found = aligned(
        [_keys(step, marks, both) for step in one.steps],
        [_keys(step, marks, both) for step in other.steps],
        cells=settings.LIMITS["compare_cells"],
    )
    pairs = [(None if i is None else one.steps[i], None if j is None else other.steps[j]) for i, j, _ in found.pairs]
    shared = spent(step for step in one.steps if step.key in both)
    answered = [run_contents(team_id, run)[1].strip() for run in (a, b)]
    return Comparison(
        a=one,
        b=other,
        rows=_rows(pairs, marks),
        shared=shared,
        together=_together(one, other),
        verdicts=_verdicts(one, other, shared, answered),
        answers=text_difference(*answered),
        is_by_words=is_by_words,
        is_exact=found.is_exact,
        is_cut=one.is_cut or other.is_cut,
    )


def by_words(team_id: int, rows: Sequence[Row]) -> list[Row]:
    """Rows of a long comparison, those that are shown, with what was asked and answered compared by its words after all."""
    steps = [step for row in rows if row.how != SHARED for step in (row.a, row.b) if step is not None]
    if not step_words.are_few(team_id, steps):
        return list(rows)
    marks = step_words.marks_by_words(team_id, steps)
    return [
        row if row.how == SHARED else Row(row.number, *_judged(row.a, row.b, marks), row.so_far_a, row.so_far_b)
        for row in rows
    ]


# --- aligning ---------------------------------------------------------------------------------------------------------


def _keys(step: Step, marks: dict[Key, Marks], both: set[Key]) -> tuple[Hashable, Hashable, Hashable]:
    """With what it was asked; without; its kind alone. A step that both have is the same as itself and nothing else."""
    if step.key in both:
        return step.key, step.key, step.key
    plain = (step.span.kind, name_of(step), step.span.agent)
    return (*plain, marks[step.key].input), plain, step.span.kind


def name_of(step: Step) -> str:
    """A tool's name, or what its framework calls the step: without the model, which may differ in what is the same step."""
    span = step.span
    if span.kind is Kind.TOOL:
        return span.tool_name or span.name
    name = span.purpose or span.name
    for model in (span.requested_model, span.model):
        name = name.replace(model, "") if model else name
    return " ".join(name.split())


def _rows(pairs: Iterable[tuple[Step | None, Step | None]], marks: dict[Key, Marks]) -> list[Row]:
    rows: list[Row] = []
    so_far_a, so_far_b = Spent(), Spent()
    for number, (a, b) in enumerate(pairs, 1):
        so_far_a = so_far_a if a is None else so_far_a.then(a)
        so_far_b = so_far_b if b is None else so_far_b.then(b)
        rows.append(Row(number, *_judged(a, b, marks), so_far_a, so_far_b))
    return rows


def _judged(
    a: Step | None, b: Step | None, marks: dict[Key, Marks]
) -> tuple[str, Step | None, Step | None, tuple[str, ...]]:
    """How they stand to one another, they, and what they differ in."""
    if a is None or b is None:
        return (ONLY_B if a is None else ONLY_A), a, b, ()
    if a.key == b.key:
        return SHARED, a, b, ()
    mine, theirs = marks[a.key], marks[b.key]
    found = (
        ("kind", a.span.kind_code != b.span.kind_code),
        ("tool", a.span.kind is Kind.TOOL and name_of(a) != name_of(b)),
        ("agent", a.span.agent != b.span.agent),
        ("model", a.model != b.model),
        ("asked", mine.input != theirs.input),
        ("answered", mine.output != theirs.output),
        ("status", (a.span.status == "error") != (b.span.status == "error")),
    )
    differs = tuple(name for name, is_so in found if is_so)
    return (CHANGED if differs else SAME), a, b, differs


# --- sums and what is said of them ------------------------------------------------------------------------------------


def _less(more: Spent, less: Spent) -> Decimal | None:
    if more.unpriced_calls or less.unpriced_calls:
        return None
    return (more.cost_usd or Decimal(0)) - (less.cost_usd or Decimal(0))


def _apart(a: RunSteps, b: RunSteps, shared: Spent) -> Decimal | None:
    """Unpriced calls that both share make no difference."""
    if max(a.whole.unpriced_calls, b.whole.unpriced_calls) > shared.unpriced_calls:
        return None
    return (b.whole.cost_usd or Decimal(0)) - (a.whole.cost_usd or Decimal(0))


def _together(a: RunSteps, b: RunSteps) -> Spent:
    """Both, and what others paid for either: each step once."""
    if a.run.id == b.run.id:
        return a.whole
    others = {step.key: step for step in (*a.steps, *b.steps) if step.run not in (a.run.id, b.run.id)}
    return a.own + b.own + spent(others.values())


def _verdicts(a: RunSteps, b: RunSteps, shared: Spent, answered: Sequence[str]) -> list[Verdict]:
    if a.run.id == b.run.id:
        return []
    found = [_cost_verdict(_apart(a, b, shared))]
    ms = b.whole.ms - a.whole.ms
    if not (a.run.is_running or b.run.is_running) and abs(ms) >= max(a.whole.ms, b.whole.ms) * 0.01:
        found.append(Verdict("slower" if ms > 0 else "faster", abs(ms)))
    tokens = b.whole.tokens - a.whole.tokens
    if tokens:
        found.append(Verdict("more_tokens" if tokens > 0 else "fewer_tokens", abs(tokens)))
    found += _only("other_tools", _named(a, Kind.TOOL), _named(b, Kind.TOOL))
    found += _only("other_models", _named(a, Kind.LLM), _named(b, Kind.LLM))
    if all(answered):
        found.append(Verdict("same_answer" if answered[0] == answered[1] else "other_answer"))
    if a.run.status != b.run.status:
        found.append(Verdict("other_end", a=(a.run.status,), b=(b.run.status,)))
    return found


def _cost_verdict(difference: Decimal | None) -> Verdict:
    if difference is None:
        return Verdict("unknown_cost")
    if not difference:
        return Verdict("same_cost")
    return Verdict("dearer" if difference > 0 else "cheaper", abs(difference))


def _named(side: RunSteps, kind: Kind) -> list[str]:
    """Tools or models of a run, each once, in the order of their first use."""
    steps = [step for step in side.steps if step.span.kind is kind]
    names = [name_of(step) if kind is Kind.TOOL else step.model or "" for step in steps]
    return list(dict.fromkeys(name for name in names if name))


def _only(code: str, a: Sequence[str], b: Sequence[str]) -> list[Verdict]:
    only_a, only_b = (tuple(name for name in mine if name not in theirs) for mine, theirs in ((a, b), (b, a)))
    return [Verdict(code, a=only_a, b=only_b)] if only_a or only_b else []
