"""Servers of tools that a team added. Their headers are sealed, their addresses judged when they are called; what they listed last is
kept, so that nobody waits for them where tools are chosen."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from tracking import audit, egress, sealed
from tracking.audit import Actor
from tracking.egress import CallFailed
from tracking.errors import Conflict, Invalid, NotFound, WfloServerError
from tracking.models import McpServer, Team
from tracking.store_time import store_now
from tracking.tools.mcp import Listed, Session, ToolFault
from tracking.tools.offer import Offered, ToolContext, in_thread
from wflo.agents.tools import EFFECTS, NAME_CHARS_MAX, Tool

SEPARATOR = "__"
HEADERS_MAX, HEADER_CHARACTERS_MAX = 20, 4_000
TOOLS_BYTES_MAX = 512 * 2**10
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]|_(?!_)){0,28}[a-z0-9]|[a-z0-9]")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = re.compile(
    r"(?:host|content-.*|accept.*|connection|transfer-encoding|te|upgrade|mcp-.*|user-agent)", re.IGNORECASE
)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Remote:
    """A tool of a server. ``name`` is what a model calls it by, ``effect`` what the team says, else the server; ``undo`` the own
    name of the server's tool that takes it back, "" where the team named none."""

    name: str
    own_name: str
    description: str
    parameters: dict[str, Any]
    effect: str
    told_effect: str
    undo: str


# --- rows ---------------------------------------------------------------------------------------------------------------


def of_team(team: Team) -> list[McpServer]:
    return list(McpServer.objects.filter(team=team).order_by("name"))


def find(team: Team, id: str) -> McpServer:
    """By its id or its name. Raises NotFound."""
    rows = McpServer.objects.filter(team=team)
    row = rows.filter(name=id[:60]).first()
    try:
        row = row or rows.filter(id=uuid.UUID(id)).first()
    except ValueError:
        pass
    if row is None:
        raise NotFound(f"{team.name} has no MCP server {id[:60]}.")
    return row


def add(team: Team, *, name: str, url: str, headers: Mapping[str, str], actor: Actor) -> McpServer:
    """Adds it and looks at it; what was wrong then stands in its ``error``. Raises Invalid, Conflict."""
    if not _NAME.fullmatch(name):
        raise Invalid("A name has 1 to 30 small letters, digits, - and _, such as github.", field="name")
    most = settings.LIMITS["mcp_servers_per_team"]
    if McpServer.objects.filter(team=team).count() >= most:
        raise Invalid(f"A team has at most {most} MCP servers.", field="name")
    row = McpServer(team=team, id=uuid.uuid4(), name=name, url=_address(url), created_at=store_now())
    row.sealed_headers = _sealed(headers)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _record(row, actor, "mcp_server.add", headers)
    except IntegrityError:
        raise Conflict(f'There is an MCP server "{name}" already.', field="name") from None
    return look(row)


def change(
    row: McpServer,
    *,
    actor: Actor,
    url: str | None = None,
    headers: Mapping[str, str] | None = None,
    effects: Mapping[str, str] | None = None,
    undos: Mapping[str, str] | None = None,
    is_active: bool | None = None,
) -> McpServer:
    """What is None stays as it is; another address or other headers are tried at once. Raises Invalid.

    A new address without new headers has none: the secret of one server is not sent to another.
    """
    is_another = url is not None and _address(url) != row.url
    if is_another and headers is None:
        headers = {}
    if url is not None:
        row.url = _address(url)
    if headers is not None:
        row.sealed_headers = _sealed(headers)
    if effects is not None:
        row.effects = _effects(row, effects)
    if undos is not None:
        row.undos = _undos(row, undos)
    if is_active is not None:
        row.is_active = is_active
    with transaction.atomic():
        row.save(update_fields=["url", "sealed_headers", "effects", "undos", "is_active"])
        _record(row, actor, "mcp_server.change", headers)
    return look(row) if is_another or headers is not None else row


def remove(row: McpServer, *, actor: Actor) -> None:
    """Agents that have its tools do not run until they are changed."""
    with transaction.atomic():
        McpServer.objects.filter(team=row.team, id=row.id).delete()
        audit.record(actor, row.team, "mcp_server.remove", "mcp_server", row.id, before={"name": row.name})


def look(row: McpServer) -> McpServer:
    """Ask it which tools it has. What goes wrong is kept in ``error``; the tools it listed before stay then."""
    try:
        session = _session(row)
        try:
            row.tools = _kept(session.tools())
        finally:
            session.close()
        row.error = ""
    except WfloServerError as error:
        row.error = error.message[:500]
    row.checked_at = store_now()
    row.save(update_fields=["tools", "error", "checked_at"])
    return row


def origin(row: McpServer) -> str:
    """Where it is, for everybody to see: the rest of an address may be a secret."""
    try:
        target = egress.read_target(row.url)
    except Invalid:
        return row.url.partition("//")[2].partition("/")[0]
    return target.origin


# --- tools --------------------------------------------------------------------------------------------------------------


def tools_of(row: McpServer) -> list[Remote]:
    found: dict[str, Remote] = {}
    there = {told["name"] for told in row.tools}
    for told in row.tools:
        own, effect = told["name"], "read" if told["is_read_only"] else "write"
        name = _offered_name(row.name, own, found)
        undo = row.undos.get(own, "")
        found[name] = Remote(
            name, own, told["description"], told["parameters"], row.effects.get(own, effect), effect,
            undo if undo in there else "",
        )  # fmt: skip
    return list(found.values())


def offered_by(context: ToolContext) -> dict[str, Offered]:
    """The tools of all servers of the team that are on; those of one server share its session in this run."""
    made: dict[str, Offered] = {}
    for row in McpServer.objects.filter(team=context.team, is_active=True).order_by("name"):
        line, remotes = _Line(row, context), tools_of(row)
        by_own_name = {one.own_name: one for one in remotes}
        made |= {one.name: _offered(line, one, by_own_name.get(one.undo)) for one in remotes}
    return made


class _Line:
    """The session with a server, opened by the first tool of it that is called."""

    def __init__(self, row: McpServer, context: ToolContext) -> None:
        self._row, self._context = row, context
        self._session: Session | None = None

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        if self._session is None:
            self._session = _session(self._row)
            self._context.closing.append(self._session.close)
        return self._session.call(name, arguments)


def _offered(line: _Line, one: Remote, back: Remote | None) -> Offered:
    async def call(**arguments: Any) -> str:
        return await in_thread(lambda: line.call(one.own_name, arguments))

    async def undo(arguments: dict[str, Any], result: str) -> str:
        assert back is not None
        asked = _undoing(one, back, arguments, result)
        return await in_thread(lambda: line.call(back.own_name, asked))

    description = one.description or f"Calls {one.own_name}."
    made = Tool(one.name, description, one.parameters, call, is_async=True)
    return Offered(
        tool=made, effect=one.effect, undo=None if back is None else undo, source="mcp", description=description
    )


def _undoing(one: Remote, back: Remote, arguments: Mapping[str, Any], result: str) -> dict[str, Any]:
    """What the tool that takes back is asked: of what its schema names, what the other's answer says where that is a JSON object,
    else what the other was given. Raises ToolFault where neither has what it must be told."""
    try:
        answer = json.loads(result)
    except ValueError:
        answer = None
    known = {**arguments, **(answer if isinstance(answer, dict) else {})}
    asked = {name: known[name] for name in back.parameters.get("properties") or {} if name in known}
    missing = [str(name) for name in back.parameters.get("required") or () if name not in asked]
    if missing:
        raise ToolFault(
            f"{back.own_name} must be told {', '.join(missing)[:200]}, which neither the answer of {one.own_name} nor what it"
            " was given says"
        )
    return asked


def _session(row: McpServer) -> Session:
    """Raises Invalid for an address that may not be called, CannotUnseal."""
    return Session(egress.read_target(row.url, field="url"), headers_of(row))


def headers_of(row: McpServer) -> dict[str, str]:
    """Raises CannotUnseal."""
    if row.sealed_headers is None:
        return {}
    found: dict[str, str] = json.loads(sealed.unseal(row.sealed_headers))
    return found


def _kept(listed: list[Listed]) -> list[dict[str, Any]]:
    """Raises CallFailed where they are more than one can keep."""
    found = [asdict(one) for one in listed]
    text = json.dumps(found)
    if len(text) > TOOLS_BYTES_MAX:
        raise CallFailed(f"The server tells more of its tools than the {TOOLS_BYTES_MAX // 1024} KiB that are kept.")
    kept: list[dict[str, Any]] = json.loads(text.replace("\\u0000", "\\ufffd"))
    return kept


def _offered_name(server: str, own: str, taken: Mapping[str, Remote]) -> str:
    """What models may call a tool: short, of plain letters, and another for each."""
    plain = f"{server}{SEPARATOR}{_NOT_IN_NAMES.sub('_', own)}"
    if len(plain) <= NAME_CHARS_MAX and plain not in taken:
        return plain
    return f"{plain[: NAME_CHARS_MAX - 9]}_{hashlib.sha256(own.encode()).hexdigest()[:8]}"


# --- what was typed -----------------------------------------------------------------------------------------------------


def _address(url: str) -> str:
    url = url.strip()
    if len(url) > 500:
        raise Invalid("An address has at most 500 characters.", field="url")
    egress.read_target(url, field="url")
    return url


def _sealed(headers: Mapping[str, str]) -> bytes | None:
    if len(headers) > HEADERS_MAX:
        raise Invalid(f"At most {HEADERS_MAX} headers are sent.", field="headers")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise Invalid(f'"{name[:60]}" is no name of a header.', field="headers")
        if _OURS.fullmatch(name):
            raise Invalid(f"{name} is set by the protocol: leave it out.", field="headers")
        if (
            not isinstance(value, str)
            or not value.isascii()
            or not value.isprintable()
            or len(value) > HEADER_CHARACTERS_MAX
        ):
            raise Invalid(
                f"The value of {name} is one line of at most {HEADER_CHARACTERS_MAX:,} plain characters.",
                field="headers",
            )
    return sealed.seal(json.dumps(dict(headers))) if headers else None


def _effects(row: McpServer, effects: Mapping[str, str]) -> dict[str, str]:
    known = {told["name"] for told in row.tools}
    for name, effect in effects.items():
        if name not in known:
            raise Invalid(f'{row.name} lists no tool "{name[:60]}".', field="effects")
        if effect not in EFFECTS:
            raise Invalid(f'"{effect}" is no effect; there are {", ".join(EFFECTS)}.', field="effects")
    return dict(effects)


def _undos(row: McpServer, undos: Mapping[str, str]) -> dict[str, str]:
    """Without those that name none. A tool of the server may be undone by another of its tools."""
    known = {told["name"] for told in row.tools}
    wanted = {name: undo for name, undo in undos.items() if undo}
    for name, undo in wanted.items():
        for one in (name, undo):
            if one not in known:
                raise Invalid(f'{row.name} lists no tool "{one[:60]}".', field="undos")
        if name == undo:
            raise Invalid(f'"{name[:60]}" cannot take itself back: name another tool.', field="undos")
    return wanted


def _record(row: McpServer, actor: Actor, action: str, headers: Mapping[str, str] | None) -> None:
    after = {
        "name": row.name,
        "at": origin(row),
        "effects": row.effects,
        "undos": row.undos,
        "is_active": row.is_active,
    }
    if headers is not None:
        after["header_names"] = sorted(headers)
    audit.record(actor, row.team, action, "mcp_server", row.id, after=after)
