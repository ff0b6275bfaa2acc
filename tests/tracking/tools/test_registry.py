"""Which tools there are, and that each does what it says and can be undone."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.make import make_team
from tests.tracking.tools.servers import Mcp
from tracking.audit import SYSTEM
from tracking.errors import Invalid
from tracking.models import MemoryNote, Team
from tracking.tools import Offered, ToolContext, catalogue, mcp_servers, offered, python_tools, registry
from tracking.tools.mcp import ToolFault
from wflo.agents import ToolResult, declare, tool

BUILT_IN = ["calculator", "clock", "http_get", "remember", "recall", "forget", "hand_off"]


def one(context: ToolContext, name: str) -> Offered:
    (found,) = offered(context, [name])
    return found


def call(context: ToolContext, name: str, **arguments: Any) -> ToolResult:
    return asyncio.run(one(context, name).tool.call(json.dumps(arguments)))


def undone(context: ToolContext, name: str, result: ToolResult) -> str:
    undo = one(context, name).undo
    assert undo is not None
    return asyncio.run(_waited(undo(result.arguments, result.text)))


async def _waited(coroutine: Any) -> str:
    return str(await coroutine)


# --- built-in -----------------------------------------------------------------------------------------------------------


def test_the_catalogue_tells_of_every_tool_what_it_does(team: Team) -> None:
    found = {choice.name: choice for choice in catalogue(team)}
    assert list(found) == BUILT_IN
    assert {name for name, choice in found.items() if choice.effect == "write"} == {"remember", "forget"}
    assert {name for name, choice in found.items() if choice.has_undo} == {"remember", "forget"}
    assert {choice.source for choice in found.values()} == {"builtin"}
    for choice in found.values():
        assert choice.description
        assert all("description" in one for one in choice.parameters["properties"].values()), choice.name


def test_tools_are_called_by_models_as_json(context: ToolContext) -> None:
    assert call(context, "calculator", expression="6 * 7").text == "42"
    wrong = call(context, "calculator", expression="1 / 0")
    assert (wrong.is_error, "division by zero" in wrong.text) == (True, True)
    assert json.loads(call(context, "clock", start="2026-11-27").text)["weekday"] == "Friday"


def test_an_unknown_tool_is_named(context: ToolContext) -> None:
    with pytest.raises(Invalid, match='no tool "fly"') as raised:
        offered(context, ["clock", "fly"])
    assert raised.value.field == "tools"


# --- memory -------------------------------------------------------------------------------------------------------------


def test_notes_are_kept_for_later_runs_of_the_agent_alone(team: Team, context: ToolContext) -> None:
    call(context, "remember", title=" The  customer ", text="likes blue")
    later = ToolContext(team=team, run="r2", agent="writer")
    assert [note["text"] for note in json.loads(call(later, "recall", query="BLUE customer").text)["notes"]] == [
        "likes blue"
    ]
    assert json.loads(call(later, "recall", query="red").text)["notes"] == []
    for other in (ToolContext(team=team, agent="editor"), ToolContext(team=make_team("Other"), agent="writer")):
        assert json.loads(call(other, "recall").text)["notes"] == []
        assert json.loads(call(other, "forget", title="The customer").text)["forgotten"] is None
    assert MemoryNote.objects.get().run == "r1"


def test_what_was_remembered_is_undone(context: ToolContext) -> None:
    first = call(context, "remember", title="a", text="one")
    second = call(context, "remember", title="a", text="two")
    assert json.loads(second.text) == {"remembered": "a", "replaced": "one"}
    assert "left" in undone(context, "remember", first), "another has been written since"
    assert "what it was before" in undone(context, "remember", second)
    assert MemoryNote.objects.get().text == "one"
    assert "gone again" in undone(context, "remember", first)
    assert not MemoryNote.objects.exists()
    assert "left" in undone(context, "remember", first)


def test_what_was_forgotten_comes_back(context: ToolContext) -> None:
    call(context, "remember", title="a", text="one")
    gone = call(context, "forget", title="a")
    assert not MemoryNote.objects.exists()
    assert "there again" in undone(context, "forget", gone)
    assert MemoryNote.objects.get().text == "one"
    assert "left" in undone(context, "forget", gone)
    nothing = call(context, "forget", title="b")
    assert "Nothing" in undone(context, "forget", nothing)


def test_memory_has_its_limits(context: ToolContext, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "memory_notes_per_agent": 2, "memory_note_characters": 5}
    for title in ("a", "b"):
        assert not call(context, "remember", title=title, text="x").is_error
    assert "forget one first" in call(context, "remember", title="c", text="x").text
    assert not call(context, "remember", title="b", text="y").is_error
    for title, text in (("a", "longer"), ("a", " "), ("", "x"), ("t" * 201, "x")):
        assert call(context, "remember", title=title, text=text).is_error
    assert call(context, "remember", title="a\0", text="a\0").is_error is False


# --- hand-off -----------------------------------------------------------------------------------------------------------


def test_a_task_is_handed_to_a_member_by_name(team: Team) -> None:
    async def hand(agent: str, task: str) -> str:
        return f"{agent} did: {task}"

    context = ToolContext(team=team, agent="boss", members=("ann", "ben"), hand_off=hand)
    schema = one(context, "hand_off").tool.parameters
    assert schema["properties"]["agent"]["enum"] == ["ann", "ben"]
    assert call(context, "hand_off", agent="ann", task="count").text == "ann did: count"
    assert "there are ann, ben" in call(context, "hand_off", agent="carl", task="x").text
    alone = ToolContext(team=team, agent="boss")
    assert "enum" not in one(alone, "hand_off").tool.parameters["properties"]["agent"]
    assert call(alone, "hand_off", agent="ann", task="x").is_error


# --- functions of an operator -------------------------------------------------------------------------------------------


@pytest.fixture
def installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("shop_tools")
    sold: list[str] = []

    def unsell(arguments: dict[str, Any], result: str) -> str:
        sold.remove(arguments["what"])
        return f"{arguments['what']} is unsold"

    async def refund(arguments: dict[str, Any], result: str) -> None:
        sold.clear()

    @declare(effect="write", undo=unsell, risk="high")
    def sell(what: str, count: int = 1) -> str:
        """Sells something.

        Args:
            what: its name
        """
        sold.append(what)
        return f"sold {count} {what}"

    @declare(undo=refund)
    @tool(name="sell_all")
    async def everything() -> str:
        """Sells everything."""
        return "all sold"

    def undeclared() -> str:
        """Does who knows what."""
        return "done"

    def calculator() -> str:
        """Would be in place of the built-in one."""
        return "0"

    for function in (sell, everything, undeclared, calculator):
        setattr(module, getattr(function, "__name__", "everything"), function)
    module.sold = sold  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop_tools", module)
    settings.WFLO_TOOLS = [
        "shop_tools:sell", "shop_tools:everything", "shop_tools:undeclared", "shop_tools:calculator", "shop_tools:gone",
        "no_such_module:f", "shop_tools", "shop_tools:sell",
    ]  # fmt: skip
    python_tools._installed.cache_clear()
    return module


def test_installed_functions_are_tools_with_what_they_declare(
    context: ToolContext, installed: types.ModuleType
) -> None:
    found = {choice.name: choice for choice in catalogue(context.team)}
    assert list(found) == [*BUILT_IN, "sell", "sell_all", "undeclared"]
    sell, plain = found["sell"], found["undeclared"]
    assert (sell.effect, sell.has_undo, sell.risk, sell.source) == ("write", True, "high", "python")
    assert (plain.effect, plain.has_undo, plain.risk) == ("write", False, "")
    assert found["calculator"].source == "builtin"
    result = call(context, "sell", what="hat", count=2)
    assert (result.text, installed.sold) == ("sold 2 hat", ["hat"])
    assert undone(context, "sell", result) == "hat is unsold"
    assert installed.sold == []
    assert undone(context, "sell_all", call(context, "sell_all")) == "It was undone."


def test_what_cannot_be_had_is_told_and_stops_nothing(team: Team, installed: types.ModuleType) -> None:
    told = "\n".join(registry.faults())
    for words in ("shop_tools:gone: AttributeError", "no_such_module:f: ModuleNotFound", "package.module:function",
                  'a tool "sell" already', "calculator: a built-in tool"):  # fmt: skip
        assert words in told
    assert len(registry.faults()) == 5


def test_a_package_installs_tools_by_entry_points(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "weather_shop.py").write_text(
        "def forecast(city: str) -> str:\n    '''Tells the weather.'''\n    return f'sunny in {city}'\n"
    )
    info = tmp_path / "weather_shop-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weather-shop\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[wflo.tools]\nforecast = weather_shop:forecast\nbroken = weather_shop:none\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    python_tools._installed.cache_clear()
    try:
        assert call(context, "forecast", city="Rome").text == "sunny in Rome"
        assert "broken (weather_shop:none)" in registry.faults()[0]
    finally:
        python_tools._installed.cache_clear()


# --- MCP servers --------------------------------------------------------------------------------------------------------


def test_tools_of_a_server_are_offered_under_its_name(context: ToolContext, mcp: Mcp) -> None:
    row = mcp_servers.add(context.team, name="shop", url=mcp.url, headers={}, actor=SYSTEM)
    found = {choice.name: choice for choice in catalogue(context.team) if choice.source == "mcp"}
    assert {name: choice.effect for name, choice in found.items()} == {
        "shop__search": "read",
        "shop__order_place": "write",
    }
    assert call(context, "shop__search", query="hat").text == 'search got {"query": "hat"}'
    assert call(context, "shop__order_place", item="hat").text == 'order.place got {"item": "hat"}'
    mcp_servers.change(row, effects={"order.place": "read"}, actor=SYSTEM)
    assert one(context, "shop__order_place").effect == "read"
    mcp_servers.change(row, is_active=False, actor=SYSTEM)
    assert [choice for choice in catalogue(context.team) if choice.source == "mcp"] == []
    with pytest.raises(Invalid, match="shop__search"):
        offered(context, ["shop__search"])


CANCEL = {
    "name": "order.cancel", "description": "Cancels an order.",
    "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}, "shop": {"type": "string"}}, "required": ["id"]},
}  # fmt: skip


def test_a_tool_of_a_server_is_taken_back_by_another_of_it(context: ToolContext, mcp: Mcp) -> None:
    mcp.tools = [*mcp.tools, CANCEL]
    row = mcp_servers.add(context.team, name="shop", url=mcp.url, headers={}, actor=SYSTEM)
    assert one(context, "shop__order_place").undo is None
    mcp_servers.change(row, undos={"order.place": "order.cancel"}, actor=SYSTEM)
    assert [choice.name for choice in catalogue(context.team) if choice.source == "mcp" and choice.has_undo] == [
        "shop__order_place"
    ]
    undo = one(context, "shop__order_place").undo
    assert undo is not None

    async def taken_back(answer: str) -> str:
        return await undo({"item": "hat", "shop": "Rome", "id": "none yet"}, answer)

    said = asyncio.run(taken_back('{"id": "o-7", "total": 12}'))
    assert mcp.calls[-1] == ("order.cancel", {"id": "o-7", "shop": "Rome"}), (
        "its answer says more than what it was given"
    )
    assert "o-7" in said
    asyncio.run(taken_back("placed"))
    assert mcp.calls[-1] == ("order.cancel", {"id": "none yet", "shop": "Rome"})
    with pytest.raises(ToolFault, match=r"order\.cancel must be told id"):
        asyncio.run(undo({"item": "hat"}, "placed"))
    mcp.tools = mcp.tools[:2]
    mcp_servers.look(row)
    assert one(context, "shop__order_place").undo is None, "the server does not list it any more"


def test_a_run_has_one_session_which_is_closed_with_it(context: ToolContext, mcp: Mcp) -> None:
    mcp_servers.add(context.team, name="shop", url=mcp.url, headers={}, actor=SYSTEM)
    mcp.methods.clear()
    search, order = offered(context, ["shop__search", "shop__order_place"])

    async def work() -> None:
        await asyncio.gather(*(one.tool.call("{}") for one in (search, order, search)))
        await context.close()
        await context.close()

    asyncio.run(work())
    assert mcp.methods[:2] == ["initialize", "notifications/initialized"]
    assert mcp.methods[2:] == ["tools/call"] * 3 + ["DELETE"]
    assert mcp.sessions == set()
