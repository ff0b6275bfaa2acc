"""What an agent may be, and that whatever is wrong with one is told by the field to change."""

from __future__ import annotations

from typing import Any

import pytest

from tracking.agents import patterns
from tracking.agents.definition import Definition
from tracking.errors import Invalid, TooLarge
from tracking.models import Team
from wflo.agents.workflows.patterns import PATTERNS

pytestmark = pytest.mark.django_db

PLAIN = {"name": "writer", "model": "demo/agent"}


def read(team: Team, **more: Any) -> Definition:
    return Definition.read(team, PLAIN | more)


def member(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "instructions": f"You are {name}.", **more}


# Members and options with which each pattern runs.
WHOLE: dict[str, dict[str, Any]] = {
    "pipeline": {"members": [member("a"), member("b")]},
    "iterative": {
        "members": [
            member("p", role="producer"),
            member("c", facts={"specialty": "style", "goal": "short", "weight": 2}),
        ],
        "options": {"max_iterations": 2, "convergence_threshold": 0.1},
    },
    "debate": {"members": [member("a"), member("b"), member("j", role="judge")], "options": {"max_rounds": 1}},
    "reflection": {"members": [member("g", role="generator")], "options": {"min_improvement_threshold": None}},
    "chain_of_density": {"members": [member("g", role="generator")], "options": {"density_increment": "details"}},
    "socratic": {"members": [member("q", role="questioner"), member("r", role="responder")]},
    "rag": {"members": [member("f", role="retriever"), member("g", role="generator")]},
    "round_robin": {"members": [member("a")], "options": {"contribution_style": "refine"}},
    "consensus": {
        "members": [member("a"), member("b")],
        "options": {"voting_strategy": "weighted", "weights": {"a": 2.5, "b": 1}},
    },
    "hierarchical": {"members": [member("m", role="manager"), member("w")]},
    "map_reduce": {"members": [member("m", role="mapper")], "options": {"chunk_size": 1000, "chunk_overlap": 10}},
    "react": {"members": [member("r", role="reasoner", tools=["calculator"])]},
    "mixture_of_experts": {
        "members": [member("a", facts={"description": "knows law", "activation_keywords": ["law"]}), member("b")],
    },
    "constitutional": {
        "members": [member("g", role="generator")],
        "options": {"principles": [{"name": "kind", "description": "It is kind.", "severity": "critical"}]},
    },
    "tree_of_thoughts": {"members": [member("t", role="thinker")], "options": {"evaluation_strategy": "vote"}},
    "chat_room": {"members": [member("a"), member("b"), member("m", role="moderator")]},
}


def test_the_least_of_an_agent_is_a_name_and_a_model(team: Team) -> None:
    found = read(team)
    assert found.body["limits"] == {"steps": 50, "tool_iterations": 10, "cost_usd": None, "minutes": None}
    assert (found.pattern, found.tools, found.output_schema) == ("single", [], None)
    assert Definition.read(team, found.body) == found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_can_be_written_as_data(team: Team, pattern: str) -> None:
    found = read(team, pattern=pattern, **WHOLE[pattern])
    assert Definition.read(team, found.body) == found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_option_is_known_by_its_kind(team: Team, pattern: str) -> None:
    for option in patterns.options_of(pattern):
        assert option.kind in ("whole", "number", "truth", "text", "choice", "json")
        if option.default is None or option.kind == "json":
            continue
        whole = WHOLE[pattern]
        read(team, pattern=pattern, **whole | {"options": whole.get("options", {}) | {option.name: option.default}})
        for wrong in (["x"], "" if option.kind != "text" else 7):
            given = whole | {"options": whole.get("options", {}) | {option.name: wrong}}
            with pytest.raises(Invalid) as raised:
                read(team, pattern=pattern, **given)
            assert raised.value.field == f"options.{option.name}"


def test_functions_are_no_options(team: Team) -> None:
    assert [option.name for option in patterns.options_of("iterative")] == ["max_iterations", "convergence_threshold"]
    assert [(option.name, option.is_needed) for option in patterns.options_of("constitutional")][0] == (
        "principles",
        True,
    )


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"name": ""}, "name", "at least 1"),
        ({"name": "new"}, "name", "none of new"),
        ({"name": "a/b"}, "name", "has no"),
        ({"name": ".."}, "name", "none of"),
        ({"name": " a"}, "name", "no space"),
        ({"name": "a\nb"}, "name", "one line"),
        ({"name": "a" * 201}, "name", "at most 200"),
        ({"model": ""}, "model", "at least 1"),
        ({"model": "a b"}, "model", "pattern"),
        ({"colour": "red"}, "colour", "not permitted"),
        ({"tools": ["fly"]}, "tools", 'no tool "fly"'),
        ({"tools": ["clock", "clock"]}, "tools", "twice"),
        ({"tools": "clock"}, "tools", "list"),
        ({"tools": ["hand_off"]}, "members", "name at least one"),
        ({"members": [member("a")]}, "tools", "hand_off: choose it"),
        ({"tools": ["hand_off"], "members": [member("writer")]}, "members.0.name", "twice"),
        ({"tools": ["hand_off"], "members": [member("a"), member("a")]}, "members.1.name", "twice"),
        ({"tools": ["hand_off"], "members": [member("a", role="judge")]}, "members.0.role", "no role"),
        ({"tools": ["hand_off"], "members": [member("a", agent="other")]}, "members.0.agent", "leave instructions"),
        ({"tools": ["hand_off"], "members": [member("a", tools=["fly"])]}, "members.0.tools", 'no tool "fly"'),
        ({"tools": ["hand_off"], "members": [member(str(n)) for n in range(21)]}, "members", "At most 20"),
        ({"options": {"max_rounds": 1}}, "options", "no options"),
        ({"pattern": "swarm"}, "pattern", "there are single, pipeline"),
        ({"pattern": "debate"}, "members", "at least 2"),
        ({"pattern": "debate", "members": [member("a"), member("judge")]}, "members", "judge's name"),
        (
            {"pattern": "debate", "members": [member("a"), member("b")], "options": {"speed": 1}},
            "options.speed",
            "no option",
        ),
        (
            {"pattern": "debate", "members": [member("a"), member("b")], "options": {"max_rounds": 0}},
            "options.max_rounds",
            "at least 1",
        ),
        (
            {"pattern": "debate", "members": [member("a"), member("b")], "options": {"max_rounds": "3"}},
            "options.max_rounds",
            "valid integer",
        ),
        ({"pattern": "reflection", "members": [member("a")]}, "members", "one must be the generator"),
        ({"pattern": "reflection", "members": [member("a", role="generator"), member("b")]}, "members", "no part in"),
        ({"pattern": "socratic", "members": [member("a", role="questioner")]}, "members", "responder"),
        ({"pattern": "pipeline", "members": []}, "members", "at least 1"),
        ({"pattern": "pipeline", "members": [member("a", facts={"weight": 1})]}, "members.0.facts", "no fact"),
        (
            {"pattern": "iterative", "members": [member("p", role="producer"), member("c", facts={"weight": "x"})]},
            "options",
            "",
        ),
        ({"pattern": "constitutional", "members": [member("g", role="generator")]}, "options.principles", "needs"),
        (
            {
                "pattern": "constitutional",
                "members": [member("g", role="generator")],
                "options": {"principles": [{"name": 1}]},
            },
            "options.principles",
            "principles.0",
        ),
        (
            {
                "pattern": "iterative",
                "members": WHOLE["iterative"]["members"],
                "options": {"quality_evaluator": "os.system"},
            },
            "options.quality_evaluator",
            "no option",
        ),
        ({"limits": {"steps": 501}}, "limits.steps", "less than or equal to 500"),
        ({"limits": {"cost_usd": 0}}, "limits.cost_usd", "greater than 0"),
        ({"limits": {"cost_usd": "NaN"}}, "limits.cost_usd", "finite"),
        ({"output_schema": {"type": "thing"}}, "output_schema", "no JSON schema"),
        ({"output_schema": {"properties": []}}, "output_schema", "no JSON schema"),
        ({"output_schema": {"$ref": "https://a.example/x.json"}}, "output_schema", "own parts"),
        ({"output_schema": {"const": "x" * 70_000}}, "output_schema", "at most 64"),
        ({"parameters": {"temperature": 3}}, "parameters.temperature", "from 0 to 2"),
        ({"parameters": {"temperature": True}}, "parameters.temperature", "number"),
        ({"parameters": {"max_tokens": 1.5}}, "parameters.max_tokens", "number"),
        ({"parameters": {"model": "x"}}, "parameters.model", "field of its own"),
        ({"parameters": {str(n): 1 for n in range(41)}}, "parameters", "At most 40"),
        ({"approvals": {"http_get": "high"}}, "approvals", "none of its tools"),
        ({"tools": ["clock"], "approvals": {"clock": "severe"}}, "approvals.clock", "'low'"),
        ({"rollback_on": ["whim"]}, "rollback_on.0", "'budget'"),
        ({"instructions": "a\0"}, "instructions", "NUL"),
        ({"instructions": "a\ud800"}, "instructions", ""),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_is_told_by_its_field(team: Team, given: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(team, **given)
    assert raised.value.field == field, raised.value.message
    assert told in raised.value.message


def test_an_agent_has_a_size(team: Team) -> None:
    with pytest.raises(TooLarge, match="128 KiB"):
        read(
            team,
            instructions="x" * 90_000,
            description="",
            tools=["hand_off"],
            members=[member("a", instructions="y" * 90_000)],
        )


def test_schemas_that_refer_to_themselves_are_taken(team: Team) -> None:
    schema = {
        "type": "object",
        "properties": {"child": {"$ref": "#"}, "tag": {"$ref": "#/$defs/tag"}},
        "$defs": {"tag": {"type": "string"}},
    }
    assert read(team, output_schema=schema).output_schema == schema
