"""What people type about an agent -> a definition. The rules are tracking.agents.definition's; this only reads and shows again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from django.http import QueryDict

from dashboards.agent_words import OPTION_HELP, PATTERN_WORDS, spoken
from tracking.agents import patterns
from tracking.agents.patterns import SINGLE, Option
from tracking.errors import WfloServerError
from wflo.agents.workflows.patterns import PATTERNS

TEXTS = ("name", "description", "instructions", "model", "note")
NUMBERS = {
    "steps": int,
    "tool_iterations": int,
    "minutes": int,
    "max_tokens": int,
    "temperature": float,
    "cost_usd": Decimal,
}
JSONS = {"output_schema": "a JSON schema", "parameters": "a JSON object"}
PARAMETERS = ("temperature", "max_tokens")  # that have a field of their own
MEMBER_TEXTS = (
    "name",
    "role",
    "agent",
    "instructions",
    "model",
    "tools",
    "specialty",
    "goal",
    "weight",
    "description",
    "keywords",
)
MEMBERS_MAX = 40
_PRINCIPLE = re.compile(r"(?P<name>[^:(]+?)\s*(?:\((?P<severity>\w+)\))?\s*:\s*(?P<description>.+)")


@dataclass(slots=True)
class OptionField:
    """An option of the pattern as it stands in the form."""

    option: Option
    value: str
    fault: str = ""

    @property
    def label(self) -> str:
        return spoken(self.option.name)

    @property
    def help(self) -> str:
        told = OPTION_HELP.get(self.option.name, "")
        usual = self.option.default
        if usual is None or self.option.kind in ("truth", "choice", "json"):
            return told
        return f"{told} Usually {usual}.".strip()


@dataclass(slots=True)
class MemberField:
    """``faults`` by field."""

    values: dict[str, str]
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def tools(self) -> list[str]:
        return _names(self.values["tools"])


@dataclass(slots=True)
class AgentForm:
    """``values`` are what was typed, ``faults`` what is wrong with it, by field; ``problem``: of no single field."""

    values: dict[str, str]
    tools: list[str] = field(default_factory=list)
    approvals: dict[str, str] = field(default_factory=dict)
    rollback_on: list[str] = field(default_factory=list)
    pattern: str = SINGLE
    options: list[OptionField] = field(default_factory=list)
    members: list[MemberField] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def empty(cls, *, name: str = "", model: str = "") -> Self:
        values = {"name": name, "model": model, "steps": "50", "tool_iterations": "10"}
        return cls(values)

    @classmethod
    def showing(cls, body: Mapping[str, Any]) -> Self:
        """A definition that is kept."""
        limits, parameters = body["limits"], dict(body["parameters"])
        values = {name: body[name] for name in TEXTS if name in body}
        values |= {name: _shown(limits[name]) for name in ("steps", "tool_iterations", "minutes", "cost_usd")}
        values |= {name: _shown(parameters.pop(name, None)) for name in PARAMETERS}
        values["parameters"] = _json(parameters) if parameters else ""
        values["output_schema"] = "" if body["output_schema"] is None else _json(body["output_schema"])
        form = cls(values, list(body["tools"]), dict(body["approvals"]), list(body["rollback_on"]), body["pattern"])
        form.options = [
            OptionField(one, _written(one, body["options"].get(one.name, one.default)))
            for one in patterns.options_of(form.pattern)
        ]
        form.members = [MemberField(_member_shown(one)) for one in body["members"]]
        return form

    @classmethod
    def of(cls, post: QueryDict) -> Self:
        """As it was sent; ``again`` adds a member, takes one away, or draws another pattern's part."""
        names = (*TEXTS, *NUMBERS, *JSONS)
        form = cls({name: _line_ends(post.get(name, "")) for name in names}, post.getlist("tools"))
        form.approvals = {
            name.removeprefix("approval-"): value
            for name, value in post.items()
            if name.startswith("approval-") and isinstance(value, str) and value
        }
        form.rollback_on = post.getlist("rollback_on")
        form.pattern = post.get("pattern", SINGLE)
        is_drawn = post.get("drawn") == form.pattern
        form.options = [OptionField(one, _sent(post, one, is_drawn)) for one in patterns.options_of(form.pattern)]
        form.members = _members_of(post, post.get("again", ""))
        if not is_drawn or post.get("again") == "pattern":
            form.fill_roles()
        return form

    def fill_roles(self) -> None:
        """A member for each part that must be had, and as many as the pattern has at least."""
        found = PATTERNS.get(self.pattern)
        if found is None:
            return
        roles = [one.values["role"] for one in self.members]
        for member in self.members:  # a part of the pattern before
            if member.values["role"] not in ("", *found.roles):
                member.values["role"] = ""
        self.members += [_blank(role) for role in found.needed if role not in roles]
        group = [one for one in self.members if one.values["role"] not in found.roles]
        if found.group and not group:
            self.members += [_blank(), _blank()]

    def given(self) -> dict[str, Any]:
        """What the rules read. What cannot be read at all stands in ``faults``; then this is of no use."""
        numbers = {name: self._number(name, kind) for name, kind in NUMBERS.items()}
        parameters = self._json_of("parameters") or {}
        if isinstance(parameters, dict):
            parameters = {**parameters, **{name: numbers[name] for name in PARAMETERS if numbers[name] is not None}}
        limits = {name: numbers[name] for name in ("steps", "tool_iterations", "minutes", "cost_usd")}
        return {
            **{name: self.values[name].strip() if name != "instructions" else self.values[name] for name in TEXTS[:-1]},
            "tools": self.tools,
            "approvals": {name: risk for name, risk in self.approvals.items() if name in self._chosen()},
            "rollback_on": self.rollback_on,
            "pattern": self.pattern,
            "options": self._options(),
            "members": [_member_given(one, self._group(one)) for one in self.members],
            "limits": {name: value for name, value in limits.items() if value is not None},
            "parameters": parameters,
            "output_schema": self._json_of("output_schema"),
        }

    @property
    def is_wrong(self) -> bool:
        parts = [*(one.fault for one in self.options), *(one.faults for one in self.members)]
        return bool(self.problem or self.faults or any(parts))

    def refuse(self, error: WfloServerError) -> None:
        """Shows it where it belongs."""
        place = (error.field or "").split(".")
        message = error.message
        if place[0] == "members" and len(place) > 1 and place[1].isdigit() and int(place[1]) < len(self.members):
            name = place[2] if len(place) > 2 and place[2] in MEMBER_TEXTS else "name"
            self.members[int(place[1])].faults[name] = message
        elif place[0] == "options" and len(place) > 1 and self._option(place[1]) is not None:
            found = self._option(place[1])
            assert found is not None
            found.fault = message
        elif place[0] in ("limits", "parameters") and len(place) > 1 and place[1] in self.values:
            self.faults[place[1]] = message
        elif place[0] in ("approvals", "tools"):
            self.faults["tools"] = message
        elif place[0] in ("members", "options", "pattern"):
            self.faults["pattern"] = message
        elif place[0] in self.values:
            self.faults[place[0]] = message
        else:
            self.problem = message

    # --- for the template ---------------------------------------------------------------------------------------------

    @property
    def roles(self) -> list[tuple[str, str]]:
        """(role, its word), the group's first."""
        found = PATTERNS.get(self.pattern)
        if found is None:
            return []
        group = [("", f"{PATTERN_WORDS[self.pattern][2]}, one of several")] if found.group else []
        return [*group, *((role, role) for role in found.roles)]

    @property
    def words(self) -> str:
        return PATTERN_WORDS.get(self.pattern, ("", "", ""))[1]

    @property
    def facts(self) -> str:
        """critics or experts, whose members are told of more; '' for others."""
        found = PATTERNS.get(self.pattern)
        return found.group if found is not None and found.group in patterns.FACTS else ""

    # --- reading ------------------------------------------------------------------------------------------------------

    def _chosen(self) -> set[str]:
        return {*self.tools, *(name for one in self.members for name in one.tools)}

    def _group(self, member: MemberField) -> str:
        return self.facts if not member.values["role"] else ""

    def _option(self, name: str) -> OptionField | None:
        return next((one for one in self.options if one.option.name == name), None)

    def _options(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in self.options:
            try:
                value = _read(one.option, one.value)
            except ValueError as error:
                one.fault = str(error)
                continue
            if value is not None:
                found[one.option.name] = value
        return found

    def _number(self, name: str, kind: Any) -> Any:
        text = self.values.get(name, "").strip().replace("$", "").replace(",", "")
        if not text:
            return None
        try:
            return kind(text)
        except (ValueError, InvalidOperation):
            self.faults[name] = f"{text[:40]} is no {'whole number' if kind is int else 'number'}."
            return None

    def _json_of(self, name: str) -> Any:
        text = self.values.get(name, "").strip()
        if not text:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.faults[name] = f"This is no JSON: {str(error)[:120]}."
            return None
        if not isinstance(found, dict):
            self.faults[name] = f"Give {JSONS[name]}, in braces."
        return found


def _sent(post: QueryDict, option: Option, is_drawn: bool) -> str:
    if not is_drawn:
        return _written(option, option.default)
    return _line_ends(post.get(f"option-{option.name}", ""))


def _members_of(post: QueryDict, again: str) -> list[MemberField]:
    count = post.get("members", "0")
    found = [
        MemberField({name: _line_ends(", ".join(post.getlist(f"member-{place}-{name}"))) for name in MEMBER_TEXTS})
        for place in range(min(int(count), MEMBERS_MAX) if count.isdecimal() and len(count) < 4 else 0)
    ]
    if again == "add" and len(found) < MEMBERS_MAX:
        found.append(_blank())
    act, _, place = again.partition("-")
    if act == "remove" and place.isdecimal() and len(place) < 4 and int(place) < len(found):
        del found[int(place)]
    return found


def _blank(role: str = "") -> MemberField:
    return MemberField(dict.fromkeys(MEMBER_TEXTS, "") | {"role": role, "name": role})


def _member_given(one: MemberField, group: str) -> dict[str, Any]:
    values = one.values
    found: dict[str, Any] = {"name": values["name"].strip(), "role": values["role"]}
    if values["agent"]:
        found["agent"] = values["agent"]
    else:
        found |= {
            "instructions": values["instructions"],
            "model": values["model"].strip(),
            "tools": one.tools,
        }
    facts: dict[str, Any] = {}
    if group == "critics":
        facts = {
            "specialty": values["specialty"].strip(),
            "goal": values["goal"].strip(),
            "weight": _weight(values["weight"]),
        }
    elif group == "experts":
        keywords = [word.strip() for word in values["keywords"].split(",") if word.strip()]
        facts = {
            "specialty": values["specialty"].strip(),
            "description": values["description"].strip(),
            "activation_keywords": keywords,
        }
    found["facts"] = {name: value for name, value in facts.items() if value not in ("", None, [])}
    return found


def _member_shown(member: Mapping[str, Any]) -> dict[str, str]:
    facts = member["facts"]
    return {
        **{name: member[name] or "" for name in ("name", "role", "agent", "instructions", "model")},
        "tools": ", ".join(member["tools"]),
        "specialty": str(facts.get("specialty", "")),
        "goal": str(facts.get("goal", "")),
        "weight": _shown(facts.get("weight")),
        "description": str(facts.get("description", "")),
        "keywords": ", ".join(map(str, facts.get("activation_keywords", ()))),
    }


def _read(option: Option, text: str) -> Any:
    """None: it is left as it usually is. Raises ValueError with a sentence."""
    if option.kind == "truth":
        return text == "on"
    if not text.strip():
        return None
    if option.kind in ("whole", "number"):
        try:
            return int(text.strip()) if option.kind == "whole" else float(text.strip())
        except ValueError:
            kind = "whole number" if option.kind == "whole" else "number"
            raise ValueError(f"{text.strip()[:40]} is no {kind}.") from None
    if option.kind == "json":
        return _principles(text) if option.name == "principles" else _weights(text)
    return text


def _written(option: Option, value: Any) -> str:
    if option.kind == "truth":
        return "on" if value else ""
    if value is None:
        return ""
    if option.name == "principles":
        return "\n".join(f"{one['name']} ({one.get('severity', 'error')}): {one['description']}" for one in value)
    if option.name == "weights":
        return "\n".join(f"{name}: {weight:g}" for name, weight in value.items())
    return _shown(value)


def _principles(text: str) -> list[dict[str, str]]:
    found = []
    for line in filter(str.strip, text.splitlines()):
        match = _PRINCIPLE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f'"{line.strip()[:60]}" is no line such as: kind (critical): It is kind.')
        found.append({name: value for name, value in match.groupdict().items() if value})
    return found


def _weights(text: str) -> dict[str, float]:
    found = {}
    for line in filter(str.strip, text.splitlines()):
        name, _, weight = line.rpartition(":")
        if not name.strip() or _weight(weight) is None or isinstance(_weight(weight), str):
            raise ValueError(f'"{line.strip()[:60]}" is no line such as: writer: 2')
        found[name.strip()] = float(weight)
    return found


def _weight(text: str) -> Any:
    """What is no number goes on as it is: the rule says so then."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text.strip()


def _names(text: str) -> list[str]:
    return [name for name in re.split(r"[,\s]+", text) if name]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _line_ends(text: str) -> str:
    """Browsers send CRLF for each line end of a text area."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
