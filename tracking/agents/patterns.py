"""The ways to work together as data: which options each has, of which kind, and whether these fit.

The rules are the library's (wflo.agents.workflows): a pattern is put together with members that do nothing, and says itself what is
wrong. Options that are functions are none here.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tracking.errors import Invalid
from wflo.agents.workflows import (
    chain_of_density,
    consensus,
    hierarchical,
    map_reduce,
    mixture_of_experts,
    round_robin,
    socratic,
    tree_of_thoughts,
)
from wflo.agents.workflows.patterns import PATTERNS, Member, workflow_of
from wflo.agents.workflows.workflow import ConfigError

SINGLE = "single"
NAMES = (SINGLE, *PATTERNS)
FACTS = {"critics": ("specialty", "goal", "weight"), "experts": ("specialty", "description", "activation_keywords")}
_NOT_AS_DATA = {("iterative", "min_quality_score")}  # needs a function that judges
_CHOICES: dict[tuple[str, str], Sequence[str]] = {
    ("chain_of_density", "density_increment"): tuple(chain_of_density.INCREMENTS),
    ("consensus", "voting_strategy"): consensus.STRATEGIES,
    ("hierarchical", "synthesis_strategy"): tuple(hierarchical.SYNTHESES),
    ("map_reduce", "reduce_strategy"): map_reduce.STRATEGIES,
    ("mixture_of_experts", "routing_strategy"): mixture_of_experts.ROUTINGS,
    ("mixture_of_experts", "combine_strategy"): mixture_of_experts.COMBINATIONS,
    ("round_robin", "contribution_style"): tuple(round_robin.STYLES),
    ("socratic", "mode"): tuple(socratic.MODES),
    ("tree_of_thoughts", "evaluation_strategy"): tree_of_thoughts.STRATEGIES,
}


@dataclass(frozen=True, slots=True)
class Option:
    """``kind``: whole, number, truth, text, choice, json. ``default`` None: it may be left empty, or must be given (``needed``)."""

    name: str
    kind: str
    default: Any
    is_needed: bool = False
    choices: tuple[str, ...] = ()


@lru_cache(maxsize=32)
def options_of(pattern: str) -> tuple[Option, ...]:
    found = PATTERNS.get(pattern)
    if found is None or found.config is None:
        return ()
    hints = typing.get_type_hints(found.config)
    options = (_option(pattern, field, hints[field.name]) for field in dataclasses.fields(found.config))
    return tuple(option for option in options if option is not None)


def _option(pattern: str, field: Any, hint: Any) -> Option | None:
    parts = (
        [one for one in typing.get_args(hint) if one is not type(None)]
        if type(None) in typing.get_args(hint)
        else [hint]
    )
    if typing.get_origin(parts[0]) is typing.get_origin(Callable[[], None]) or (pattern, field.name) in _NOT_AS_DATA:
        return None
    is_needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = None if field.default is dataclasses.MISSING else field.default
    choices = tuple(_CHOICES.get((pattern, field.name), ()))
    kind = {int: "whole", float: "number", bool: "truth", str: "choice" if choices else "text"}.get(parts[0], "json")
    return Option(field.name, kind, default, is_needed, choices)


def roles_of(pattern: str) -> tuple[str, ...]:
    """Parts that one member has by itself; '' is beside them where there is a group."""
    found = PATTERNS.get(pattern)
    return () if found is None else found.roles


def check(pattern: str, members: Sequence[Any], options: Mapping[str, Any]) -> None:
    """``members`` have name, role and facts. Raises Invalid naming the field."""
    if pattern not in PATTERNS:
        raise Invalid(f'"{pattern[:60]}" is no pattern; there are {", ".join(NAMES)}.', field="pattern")
    _check_options(pattern, options)
    group = PATTERNS[pattern].group
    for place, member in enumerate(members):
        _check_facts(group, member, place)
    parts = [Member(one.name, _Nobody(), one.role, one.facts) for one in members]
    try:
        workflow_of(pattern, parts, options)
    except ConfigError as error:
        raise _as_invalid(pattern, error) from None
    except (TypeError, ValueError) as error:  # a value that its own rule cannot compare
        raise Invalid(f"{pattern}: {error}", field="options") from None


def _check_options(pattern: str, options: Mapping[str, Any]) -> None:
    known = [option.name for option in options_of(pattern)]
    for name in options:
        if name not in known:
            there = f"its options: {', '.join(known)}" if known else "it has none"
            raise Invalid(f'{pattern} has no option "{name[:60]}"; {there}.', field=f"options.{name[:60]}")
    for option in options_of(pattern):
        if option.is_needed and option.name not in options:
            raise Invalid(f"{pattern} needs {option.name}.", field=f"options.{option.name}")
    hints = typing.get_type_hints(PATTERNS[pattern].config) if options else {}
    for name, value in options.items():
        try:
            TypeAdapter(hints[name]).validate_python(value, strict=not isinstance(value, list))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, (name, *first["loc"])))
            raise Invalid(f"options.{place}: {first['msg']}.", field=f"options.{name}") from None


def _check_facts(group: str, member: Any, place: int) -> None:
    known = FACTS.get(group, ()) if not member.role else ()
    for name in member.facts:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "it has none here"
            raise Invalid(f'{member.name} has no fact "{name[:60]}"; {there}.', field=f"members.{place}.facts")


def _as_invalid(pattern: str, error: ConfigError) -> Invalid:
    found = PATTERNS[pattern]
    message = str(error).removeprefix(f"{error.field}: ")
    if error.field in [option.name for option in options_of(pattern)]:
        return Invalid(f"options.{error.field}: {message}.", field=f"options.{error.field}")
    if error.field in (found.group, *found.roles, "members"):
        return Invalid(f"{error.field}: {message}.", field="members")
    return Invalid(f"{error.field}: {message}.", field="options")


class _Nobody:
    async def execute(self, query: str) -> str:
        return ""
