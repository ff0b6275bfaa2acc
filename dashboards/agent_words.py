"""Words for agents as data: what each pattern is, what its options mean, and a definition as text to be compared."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

# pattern -> its name, what happens in it, what one of its group is called
PATTERN_WORDS: dict[str, tuple[str, str, str]] = {
    "single": ("One agent", "It works by itself, and may hand tasks to members.", "member"),
    "pipeline": ("Pipeline", "One after the other: each gets what the one before made.", "stage"),
    "iterative": ("Refinement", "A producer writes, critics say what is wrong, again.", "critic"),
    "debate": ("Debate", "Several argue in rounds; a judge may decide.", "participant"),
    "reflection": ("Reflection", "An answer, looked at and written anew.", ""),
    "chain_of_density": ("Chain of density", "A summary that gets denser round by round.", ""),
    "socratic": ("Socratic", "One asks, one answers, until it is clear.", ""),
    "rag": ("Retrieval", "One finds what is known, one answers from it, one may check.", ""),
    "round_robin": ("Round robin", "Each adds to the text in turn.", "agent"),
    "consensus": ("Consensus", "Each proposes, all vote until enough agree.", "proposer"),
    "hierarchical": ("Hierarchy", "A manager splits the task, workers do the parts.", "worker"),
    "map_reduce": ("Map and reduce", "A long text in pieces, each worked on, then put together.", ""),
    "react": ("Reason and act", "Thought, action, observation, step by step.", ""),
    "mixture_of_experts": ("Experts", "Those who know the subject are asked, and put together.", "expert"),
    "constitutional": ("Constitution", "An answer is held against principles and revised.", ""),
    "tree_of_thoughts": ("Tree of thoughts", "Many beginnings, the best are followed.", ""),
    "chat_room": ("Chat room", "Several talk; a moderator may say who is next.", "member"),
}
OPTION_HELP = {
    "principles": "One a line, such as: kind (critical): It is kind. Without a word in brackets it is an error; a warning blocks nothing.",
    "weights": "One a line, such as: writer: 2. Of the weighted vote; whoever is not named has 1.",
    "chunk_size": "In characters. Empty: the text is one piece.",
    "reflection_prompt_template": "May have {previous_output} and {current_output}.",
    "end_phrase": "Whoever says it ends the talk.",
    "convergence_threshold": "From 0 to 1: stop when a round changed at most that share of the words.",
    "min_improvement_threshold": "From 0 to 1: stop when fewer of the words changed.",
    "min_agreement_ratio": "From 0 to 1, of the votes cast.",
    "prune_threshold": "From 0 to 1: thoughts below it are not followed.",
}
SOURCES = {"builtin": "Built in", "python": "Installed by an operator"}
ROLLBACK_WORDS = {"budget": "a budget ends it", "loop": "it goes round in circles", "error": "it fails"}
RISK_WORDS = {"": "no", "low": "low risk", "medium": "medium risk", "high": "high risk", "critical": "critical risk"}


FIELDS = (
    "name", "description", "model", "instructions", "tools", "approvals", "pattern", "options", "members", "limits", "parameters",
    "output_schema", "rollback_on",
)  # fmt: skip
_MEMBER_ORDER = ("role", "agent", "model", "tools", "facts", "instructions")
_LIMITS = ("steps", "tool_iterations", "cost_usd", "minutes")


def spoken(name: str) -> str:
    """An option or a field as people read it."""
    return name.replace("_", " ").capitalize()


def written(body: Mapping[str, Any]) -> list[str]:
    """A definition as lines; what is empty is left out."""
    lines: list[str] = []
    for name in FIELDS:  # the store keeps none
        value = body.get(name)
        if value not in (None, "", [], {}):
            lines += _part(name, value, "")
    return lines


def difference(before: Sequence[str], after: Sequence[str], *, around: int = 3) -> list[tuple[str, str]]:
    """(kind, line): add, del, '' for a line of both, 'gap' where lines of both are left out."""
    found: list[tuple[str, str]] = []
    for place, group in enumerate(
        difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(around)
    ):
        if place:
            found.append(("gap", "…"))
        for kind, first, last, begin, end in group:
            if kind == "equal":
                found += [("", line) for line in before[first:last]]
                continue
            found += [("del", line) for line in before[first:last]]
            found += [("add", line) for line in after[begin:end]]
    return found


def _part(name: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, str) and "\n" in value:
        return [f"{indent}{name}:", *(f"{indent}    {line}" for line in value.splitlines())]
    if name == "members":
        lines = [f"{indent}members:"]
        for member in value:
            lines.append(f"{indent}  - {member['name']}")
            for field in _MEMBER_ORDER:
                if member.get(field) not in (None, "", [], {}):
                    lines += _part(field, member[field], f"{indent}    ")
        return lines
    if name == "limits":
        told = [f"{one.replace('_', ' ')} {value[one]}" for one in _LIMITS if value.get(one) is not None]
        return [f"{indent}limits: {', '.join(told)}"]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [f"{indent}{name}: {', '.join(value)}"]
    if isinstance(value, dict | list):
        text = json.dumps(value, indent=2, ensure_ascii=False)
        return [f"{indent}{name}: {text.splitlines()[0]}", *(f"{indent}{line}" for line in text.splitlines()[1:])]
    return [f"{indent}{name}: {value}"]
