"""Every pattern by its name: who takes part in it, in which part, and how it is put together from named members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.chain_of_density import ChainOfDensityConfig, ChainOfDensityWorkflow
from wflo.agents.workflows.chat_room import ChatRoomConfig, ChatRoomWorkflow
from wflo.agents.workflows.consensus import ConsensusConfig, ConsensusWorkflow
from wflo.agents.workflows.constitutional import ConstitutionalConfig, ConstitutionalWorkflow, Principle
from wflo.agents.workflows.debate import DebateConfig, DebateWorkflow
from wflo.agents.workflows.hierarchical import HierarchicalConfig, HierarchicalWorkflow
from wflo.agents.workflows.iterative import CriticConfig, IterativeConfig, IterativeRefinementWorkflow
from wflo.agents.workflows.map_reduce import MapReduceConfig, MapReduceWorkflow
from wflo.agents.workflows.mixture_of_experts import ExpertConfig, MixtureOfExpertsWorkflow, MoEConfig
from wflo.agents.workflows.pipeline import PipelineWorkflow
from wflo.agents.workflows.rag import RAGConfig, RAGWorkflow
from wflo.agents.workflows.react import ReActConfig, ReActWorkflow
from wflo.agents.workflows.reflection import ReflectionConfig, ReflectionWorkflow
from wflo.agents.workflows.round_robin import RoundRobinConfig, RoundRobinWorkflow
from wflo.agents.workflows.socratic import SocraticConfig, SocraticWorkflow
from wflo.agents.workflows.tree_of_thoughts import TreeOfThoughtsConfig, TreeOfThoughtsWorkflow
from wflo.agents.workflows.workflow import ConfigError, Workflow


@dataclass(frozen=True, slots=True)
class Member:
    """One who takes part. ``role``: '' for one of the group, else the part it has by itself; ``facts``: what else its place takes
    (a critic's specialty, goal and weight; an expert's specialty)."""

    name: str
    executor: Executor
    role: str = ""
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """``group``: the parameter that takes all members without a role; ``roles``: parts that one member has, ``needed`` of them."""

    name: str
    workflow: type[Workflow]
    config: type[Any] | None
    group: str = ""
    roles: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    is_parallel: bool = False  # members are asked at the same time

    @property
    def options(self) -> tuple[str, ...]:
        """Names of what its configuration takes."""
        return () if self.config is None else tuple(field.name for field in fields(self.config))


_ALL = (
    Pattern("pipeline", PipelineWorkflow, None, "stages"),
    Pattern("iterative", IterativeRefinementWorkflow, IterativeConfig, "critics", ("producer",), ("producer",), is_parallel=True),
    Pattern("debate", DebateWorkflow, DebateConfig, "participants", ("judge",), is_parallel=True),
    Pattern("reflection", ReflectionWorkflow, ReflectionConfig, "", ("generator", "reflector"), ("generator",)),
    Pattern("chain_of_density", ChainOfDensityWorkflow, ChainOfDensityConfig, "", ("generator",), ("generator",)),
    Pattern("socratic", SocraticWorkflow, SocraticConfig, "", ("questioner", "responder"), ("questioner", "responder")),
    Pattern("rag", RAGWorkflow, RAGConfig, "", ("retriever", "generator", "verifier"), ("retriever", "generator")),
    Pattern("round_robin", RoundRobinWorkflow, RoundRobinConfig, "agents"),
    Pattern("consensus", ConsensusWorkflow, ConsensusConfig, "proposers", is_parallel=True),
    Pattern("hierarchical", HierarchicalWorkflow, HierarchicalConfig, "workers", ("manager",), ("manager",), is_parallel=True),
    Pattern("map_reduce", MapReduceWorkflow, MapReduceConfig, "", ("mapper", "reducer"), ("mapper",), is_parallel=True),
    Pattern("react", ReActWorkflow, ReActConfig, "", ("reasoner",), ("reasoner",)),
    Pattern("mixture_of_experts", MixtureOfExpertsWorkflow, MoEConfig, "experts", ("router", "combiner"), is_parallel=True),
    Pattern("constitutional", ConstitutionalWorkflow, ConstitutionalConfig, "", ("generator", "critic"), ("generator",)),
    Pattern("tree_of_thoughts", TreeOfThoughtsWorkflow, TreeOfThoughtsConfig, "", ("thinker", "evaluator"), ("thinker",), is_parallel=True),
    Pattern("chat_room", ChatRoomWorkflow, ChatRoomConfig, "members", ("moderator",)),
)  # fmt: skip
PATTERNS: dict[str, Pattern] = {pattern.name: pattern for pattern in _ALL}


def workflow_of(name: str, members: Sequence[Member], options: Mapping[str, Any] | None = None) -> Workflow:
    """The pattern ``name`` with these members and options. Raises ConfigError naming what is wrong."""
    pattern = PATTERNS.get(name)
    if pattern is None:
        raise ConfigError("pattern", f'"{name}" is none of {", ".join(PATTERNS)}')
    arguments: dict[str, Any] = {}
    for role in pattern.roles:
        found = [member for member in members if member.role == role]
        if len(found) > 1:
            raise ConfigError("members", f"only one is the {role}")
        if found:
            arguments[role] = _retriever(found[0]) if role == "retriever" else found[0].executor
        elif role in pattern.needed:
            raise ConfigError("members", f"one must be the {role}")
    rest = [member for member in members if member.role not in pattern.roles]
    if pattern.group:
        arguments[pattern.group] = [_of_group(pattern.group, member) for member in rest]
    elif rest:
        raise ConfigError(
            "members", f'"{rest[0].name}" has no part in {name}: its parts are {", ".join(pattern.roles)}'
        )
    made = pattern.workflow(**arguments, **_configured(pattern, options or {}))
    made.check_config()
    return made


def _configured(pattern: Pattern, options: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [name for name in options if name not in pattern.options]
    if unknown:
        known = ", ".join(pattern.options) or "none"
        raise ConfigError(unknown[0], f"is no option of {pattern.name}; its options: {known}")
    if pattern.config is None:
        return {}
    given = dict(options)
    if pattern.name == "constitutional" and "principles" in given:
        given["principles"] = [Principle(**one) if isinstance(one, Mapping) else one for one in given["principles"]]
    try:
        return {"config": pattern.config(**given)}
    except TypeError as error:
        raise ConfigError("options", str(error)) from error


def _of_group(group: str, member: Member) -> Any:
    facts = dict(member.facts or {})
    if group == "critics":
        return CriticConfig(member.executor, **{"specialty": member.name, "goal": "", **facts})
    if group == "experts":
        return ExpertConfig(member.executor, **{"specialty": member.name, **facts})
    return (member.name, member.executor)


def _retriever(member: Member) -> Any:
    async def retrieve(query: str) -> list[dict[str, Any]]:
        return [{"content": await member.executor.execute(query), "source": member.name}]

    return retrieve
