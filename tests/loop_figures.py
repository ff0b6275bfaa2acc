"""How well the loop detector does on the labelled traces; ``python -m tests.loop_figures`` writes docs/loops.md anew.

Only what stands between two marks of the page is written: the table of the policy and the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from statistics import median

from tests.loop_traces import Seen, Trace, seen, traces
from wflo.loops import GATEWAY, INGEST, SDK, LoopPolicy

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "loops.md"
POLICIES = {"gateway": GATEWAY, "ingest": INGEST}
# What is played: who looks, through which door.
PLAYS = (("gateway", "chat"), ("gateway", "anthropic"), ("gateway", "responses"), ("ingest", "spans"))
HARD = "honest hard"  # honest traces that the rule is known to take for loops


@dataclass(frozen=True, slots=True)
class Judged:
    trace: Trace
    seen: Seen | None

    @property
    def is_blocked(self) -> bool:
        return self.seen is not None and self.seen.verdict.confidence >= INGEST.block_confidence


@dataclass(frozen=True, slots=True)
class Figures:
    """``delays`` are in calls of a model by the agent of the loop, after the one at which a person would have spoken."""

    loops: int
    found: int
    honest: int
    alarmed: int
    delays: tuple[int, ...]

    @property
    def recall(self) -> float:
        return self.found / self.loops if self.loops else 1.0

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.alarmed) if self.found + self.alarmed else 1.0


@cache
def judged(policy: str, door: str) -> tuple[Judged, ...]:
    """Every trace that has this door, as this policy sees it."""
    return tuple(
        Judged(trace, seen(trace, door, POLICIES[policy]))
        for trace in traces()
        if door == "spans" or trace.script.get("dialect", door) == door
    )


def figures(of: Iterable[Judged], *, blocks_only: bool = False) -> Figures:
    rows = [(one.trace, one.seen if one.is_blocked or not blocks_only else None) for one in of]
    loops = [found for trace, found in rows if trace.is_loop]
    honest = [found for trace, found in rows if not trace.is_loop]
    delays = sorted(found.delay for found in loops if found is not None)
    return Figures(len(loops), len(delays), len(honest), sum(found is not None for found in honest), tuple(delays))


def missed(policy: str, door: str) -> list[str]:
    return [one.trace.name for one in judged(policy, door) if one.trace.is_loop and one.seen is None]


def alarmed(policy: str, door: str) -> list[str]:
    return [one.trace.name for one in judged(policy, door) if not one.trace.is_loop and one.seen is not None]


# --- the page ---------------------------------------------------------------------------------------------------------


def policy_table() -> str:
    source = (ROOT / "wflo" / "loops/policy.py").read_text()
    said = dict(re.findall(r"^    (\w+): [^=\n]+= [^#\n]+# (.+)$", source, re.MULTILINE))
    said |= {
        "is_on": "whether anything is looked for",
        "strongest": "the most that is done about a loop",
        "cycle_length_max": "steps of the longest cycle that is looked for",
        "similarity_min": "Jaccard's index of two sets of words from which they are alike",
        "similar_hits_min": "how many turns must be alike in a row",
    }
    rows = ["| field | gateway | SDK | ingest | meaning |\n|---|---|---|---|---|\n"]
    for one in fields(LoopPolicy):
        values = (_value(getattr(policy, one.name)) for policy in (GATEWAY, SDK, INGEST))
        rows.append(f"| `{one.name}` | {' | '.join(values)} | {said.get(one.name, '')} |\n")
    return "".join(rows)


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return (
        {None: "none", True: "yes", False: "no"}.get(value, str(value))
        if not isinstance(value, int) or isinstance(value, bool)
        else f"{value:,}"
    )


def figures_table() -> str:
    rows = [
        "| policy | seen as | loops found | recall | honest runs | alarms | precision | precision of blocks | delay |\n"
    ]
    rows.append("|---|---|---|---|---|---|---|---|---|\n")
    for policy, door in PLAYS:
        all_, blocks = figures(judged(policy, door)), figures(judged(policy, door), blocks_only=True)
        rows.append(
            f"| {policy} | {door} | {all_.found} of {all_.loops} | {all_.recall:.3f} | {all_.honest} | {all_.alarmed} "
            f"| {all_.precision:.3f} | {blocks.precision:.3f} | {_delays(all_.delays)} |\n"
        )
    return "".join(rows)


def _delays(delays: tuple[int, ...]) -> str:
    if not delays:
        return ""
    return f"{median(delays):g}, {delays[len(delays) * 9 // 10]}, {delays[-1]}"


def families_table() -> str:
    by_family: dict[str, list[Judged]] = {}
    for one in judged("ingest", "spans"):
        by_family.setdefault(one.trace.family, []).append(one)
    rows = ["| traces | written | how many | found or alarmed | delay |\n|---|---|---|---|---|\n"]
    for family, of in sorted(by_family.items(), key=lambda item: (not item[1][0].trace.is_loop, item[0])):
        found = figures(of)
        by = "by hand" if all(one.trace.is_by_hand for one in of) else "by rule"
        by = by if len({one.trace.is_by_hand for one in of}) == 1 else "both"
        rows.append(f"| {family} | {by} | {len(of)} | {found.found + found.alarmed} | {_delays(found.delays)} |\n")
    return "".join(rows)


def misses_list() -> str:
    unseen = ", ".join(f"`{name}`" for name in missed("ingest", "spans"))
    ingest, gateway = alarmed("ingest", "spans"), alarmed("gateway", "chat")
    more = ", ".join(f"`{name}`" for name in gateway if name not in ingest)
    return (
        f"Loops that are not found: {unseen}.\n\n"
        f"Honest runs that alarm: {', '.join(f'`{name}`' for name in ingest)}; at a gateway also {more}.\n"
    )


PARTS = {"policy": policy_table, "figures": figures_table, "families": families_table, "misses": misses_list}


def page() -> str:
    text = PAGE.read_text()
    for name, part in PARTS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, _, rest = text.partition(begin)
        text = head + begin + part() + end + rest.partition(end)[2]
    return text


def report() -> str:
    """The figures in a few lines, for a test's output."""
    lines = []
    for policy, door in PLAYS:
        found = figures(judged(policy, door))
        lines.append(
            f"{policy:8} {door:10} precision {found.precision:.3f} recall {found.recall:.3f} "
            f"({found.found} of {found.loops} loops, {found.alarmed} of {found.honest} honest runs) "
            f"delay median, 90 %, most: {_delays(found.delays)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
