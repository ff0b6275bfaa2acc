"""An agent with all its members' definitions in it: what a job keeps, so that a later change of one does not reach into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from tracking.agents.definition import Definition
from tracking.errors import Invalid, NotFound, TooLarge
from tracking.models import AgentDefinition, AgentVersion, Team


def resolve(team: Team, name: str, version: int | None = None) -> dict[str, Any]:
    """The agent's body, ``version``, and in each member that names an agent its ``definition``.

    Raises NotFound, Invalid for one that is archived, whose members are gone, or go round in a circle; TooLarge.
    """
    body = _body(team, name, version)
    return _sized(_filled(team, body, (name,)))


def resolved(team: Team, definition: Definition) -> dict[str, Any]:
    """The same of one that is not kept. Raises as ``resolve``."""
    return _sized(_filled(team, definition.body, (definition.name,)))


def body_of(definition: Mapping[str, Any], agent: str) -> dict[str, Any]:
    """What a resolved definition says of one of its agents, by name; of the whole where it has none of that name."""
    return _found(definition, agent, str(definition.get("model") or "")) or dict(definition)


def _found(body: Mapping[str, Any], agent: str, model: str) -> dict[str, Any] | None:
    """``model``: of whom it works for, for a member that says none."""
    for part in body.get("members") or ():
        own = {"model": model, **{name: value for name, value in (part.get("definition") or part).items() if value}}
        if part.get("name") == agent:
            return own
        deeper = _found(own, agent, str(own["model"]))
        if deeper is not None:
            return deeper
    return None


def _filled(team: Team, body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    members = [_member(team, member, place, path) for place, member in enumerate(body["members"])]
    return {**body, "members": members}


def _member(team: Team, member: dict[str, Any], place: int, path: tuple[str, ...]) -> dict[str, Any]:
    name = member.get("agent")
    if not name:
        return member
    field = f"members.{place}.agent"
    if name in path:
        raise Invalid(f"It would be its own member: {' > '.join((*path, name))}.", field=field)
    most = settings.LIMITS["agent_depth"]
    if len(path) > most:
        raise Invalid(f"Members are nested more than {most} deep: {' > '.join((*path, name))}.", field=field)
    try:
        body = _body(team, name, None)
    except (NotFound, Invalid) as error:
        raise Invalid(error.message, field=field) from None
    return {**member, "definition": _filled(team, body, (*path, name))}


def _body(team: Team, name: str, version: int | None) -> dict[str, Any]:
    row = AgentDefinition.objects.filter(team=team, name=name[:200]).first()
    if row is None:
        raise NotFound(f"{team.name} has defined no agent named {name[:200]}.")
    if row.archived_at is not None:
        raise Invalid(f"{row.name} is archived: restore it, or take another agent.", field="agent")
    number = row.version if version is None else version
    saved = AgentVersion.objects.filter(team=team, definition_id=row.id, version=number).first()
    if saved is None:
        raise NotFound(f"{row.name} has no version {version}; its latest is {row.version}.")
    return {**saved.body, "version": number}


def _sized(body: dict[str, Any]) -> dict[str, Any]:
    most = settings.LIMITS["agent_snapshot_bytes"]
    size = len(json.dumps(body).encode())
    if size > most:
        raise TooLarge(
            f"With its members it has {size // 1024} KiB as JSON, more than the {most // 1024} KiB that a job keeps."
        )
    return body
