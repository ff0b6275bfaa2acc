"""Which tools a team may choose, and those of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracking.errors import Invalid
from tracking.models import Team
from tracking.tools import mcp_servers
from tracking.tools.built_in import built_in
from tracking.tools.offer import Offered, ToolContext
from tracking.tools.python_tools import installed

__all__ = ["Choice", "Offered", "ToolContext", "catalogue", "faults", "offered"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool that may be chosen. ``server`` is of mcp alone."""

    name: str
    description: str
    effect: str
    has_undo: bool
    risk: str
    source: str
    server: str
    parameters: dict[str, Any]

    @property
    def summary(self) -> str:
        """The first paragraph of what it is for."""
        return self.description.partition("\n\n")[0]


def catalogue(team: Team) -> list[Choice]:
    """Every tool the team may choose: built-in ones, installed functions, then its servers' by name."""
    context = ToolContext(team=team)
    own = [_choice(one) for one in _own(context).values()]
    servers = [row for row in mcp_servers.of_team(team) if row.is_active]
    return own + [
        Choice(one.name, one.description, one.effect, bool(one.undo), "", "mcp", row.name, one.parameters)
        for row in servers
        for one in mcp_servers.tools_of(row)
    ]


def offered(context: ToolContext, names: Sequence[str]) -> list[Offered]:
    """Those tools, in that order, ready to be called. Asks the database, so in a thread. Raises Invalid naming an unknown one.

    ``await context.close()`` when the run is over.
    """
    known = _own(context)
    if any(name not in known for name in names):
        known = {**mcp_servers.offered_by(context), **known}
    for name in names:
        if name not in known:
            raise Invalid(
                f'There is no tool "{name[:80]}" any more. Change the agent, or bring the tool back.', field="tools"
            )
    return [known[name] for name in names]


def faults() -> list[str]:
    """Functions that an operator named and nobody can have, and why."""
    found = installed()
    return [*found.faults, *(f"{name}: a built-in tool has this name" for name in found.tools if name in _BUILT_IN)]


def _own(context: ToolContext) -> dict[str, Offered]:
    """Those that need no asking. A built-in tool keeps its name."""
    return {**built_in(context), **{name: one for name, one in installed().tools.items() if name not in _BUILT_IN}}


def _choice(one: Offered) -> Choice:
    return Choice(
        one.tool.name, one.description, one.effect, one.undo is not None, one.risk, one.source, "", one.tool.parameters
    )


_BUILT_IN = frozenset(built_in(ToolContext(team=Team())))
