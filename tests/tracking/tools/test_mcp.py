"""A server of tools as our client finds it: in JSON and in streams, forgetful, wrong, hostile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.make import make_team
from tests.tracking.tools.servers import READ_TOOL, Mcp
from tracking import sealed
from tracking.audit import SYSTEM
from tracking.egress import CallFailed, read_target
from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import AuditEntry, McpServer, Team
from tracking.tools import mcp_servers
from tracking.tools.mcp import ServerFault, Session, ToolFault


def session(mcp: Mcp, **headers: str) -> Session:
    return Session(read_target(mcp.url), headers)


# --- the protocol -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["json", "events"])
def test_tools_are_listed_page_by_page_and_called(mcp: Mcp, stream: bool) -> None:
    mcp.stream, mcp.page = stream, 1
    one = session(mcp, Authorization="Bearer x")
    assert [(tool.name, tool.is_read_only) for tool in one.tools()] == [("search", True), ("order.place", False)]
    assert one.call("search", {"query": "hat"}) == 'search got {"query": "hat"}'
    assert mcp.calls == [("search", {"query": "hat"})]
    first, later = mcp.headers[0], mcp.headers[-1]
    assert first["accept"] == "application/json, text/event-stream"
    assert "mcp-session-id" not in first
    assert "mcp-protocol-version" not in first
    assert later["mcp-session-id"] in mcp.sessions
    assert (later["mcp-protocol-version"], later["authorization"]) == ("2025-06-18", "Bearer x")
    one.close()
    assert mcp.sessions == set()


def test_a_stream_is_read_until_the_answer_is_there(mcp: Mcp) -> None:
    """The connection stays open behind it: waiting for its end would be waiting for ever."""
    mcp.stream = True
    assert session(mcp).call("search", {}) == "search got {}"
    assert not mcp.release.is_set()


def test_a_session_that_was_forgotten_is_begun_anew_once(mcp: Mcp) -> None:
    one = session(mcp)
    assert len(one.tools()) == 2
    mcp.forgets = 1
    assert one.call("search", {}) == "search got {}"
    assert len(mcp.calls) == 1, "the call that was refused was not made"
    mcp.forgets = 2
    with pytest.raises(ServerFault, match="forgets a session"):
        one.call("search", {})


def test_many_calls_at_once_share_one_session(mcp: Mcp) -> None:
    one, barrier = session(mcp), threading.Barrier(8)

    def call(number: int) -> str:
        barrier.wait()
        return one.call("search", {"n": number})

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(call, range(8)))
    assert told == [f'search got {{"n": {number}}}' for number in range(8)]
    assert mcp.methods.count("initialize") == 1


def test_what_a_tool_says_is_text(mcp: Mcp) -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
        {"type": "resource_link", "uri": "https://a.example/b", "name": "b"},
        "junk",
    ]
    mcp.results = {"search": {"result": {"content": parts}}, "count": {"result": {"structuredContent": {"n": 3}}}}
    one = session(mcp)
    assert one.call("search", {}) == "one\n[image left out: only text is read]\ntwo\nb: https://a.example/b"
    assert one.call("count", {}) == '{"n":3}'


@pytest.mark.parametrize(
    "answer",
    [
        {"result": {"isError": True, "content": [{"type": "text", "text": "out of hats"}]}},
        {"error": {"code": -32602, "message": "out of hats"}},
    ],
    ids=["result", "error"],
)
def test_a_tool_that_failed_says_why(mcp: Mcp, answer: dict[str, Any]) -> None:
    mcp.results = {"search": answer}
    with pytest.raises(ToolFault, match="out of hats"):
        session(mcp).call("search", {})


def test_servers_that_do_not_speak_as_they_should_are_told_of(mcp: Mcp, settings: Settings) -> None:
    mcp.results = {"a": {"error": {"code": -32601, "message": "what?"}}, "b": {"result": []}, "c": {"other": 1}}
    one = session(mcp)
    for tool, told in (("a", "refused tools/call: what"), ("b", "no result"), ("c", "without an answer")):
        with pytest.raises(ServerFault, match=told):
            one.call(tool, {})
    mcp.results = {"big": {"result": {"content": [{"type": "text", "text": "x" * 5_000}]}}}
    settings.LIMITS = {**settings.LIMITS, "mcp_bytes": 2_000}
    with pytest.raises(ServerFault, match="too large"):
        one.call("big", {})
    mcp.version = "2024-11-05"
    with pytest.raises(ServerFault, match="version 2024-11-05"):
        session(mcp).tools()
    mcp.wants = "Bearer right"
    with pytest.raises(ServerFault, match="other credentials"):
        session(mcp, Authorization="Bearer wrong").tools()
    with pytest.raises(ServerFault, match="answered 501"):
        Session(read_target(mcp.url), {})._sent("PUT", None, 5)


def test_a_server_that_says_nothing_has_its_time(mcp: Mcp, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "mcp_seconds": 1}
    mcp.results = {"search": {"other": 1}}
    mcp.stream = True
    with pytest.raises(CallFailed, match="within 1 s"):
        session(mcp).call("search", {})


def test_tools_that_no_model_could_be_offered_are_left_out(mcp: Mcp) -> None:
    mcp.tools = [
        {"name": "plain"},
        {"name": ""},
        {"name": 7},
        "junk",
        {"name": "odd", "inputSchema": {"type": "string"}, "description": "d" * 9_000, "annotations": "junk"},
    ]
    found = session(mcp).tools()
    assert [tool.name for tool in found] == ["plain", "odd"]
    assert [tool.parameters["type"] for tool in found] == ["object", "object"]
    assert len(found[1].description) == 4_000


# --- what a team keeps of it ----------------------------------------------------------------------------------------------


def add(team: Team, url: str, **more: Any) -> McpServer:
    return mcp_servers.add(team, **{"name": "shop", "url": url, "headers": {}, "actor": SYSTEM, **more})


def test_headers_are_sealed_and_sent_and_in_no_log(team: Team, mcp: Mcp) -> None:
    mcp.wants = "Bearer very-hidden"
    row = add(team, f"{mcp.url}?key=hidden-too", headers={"Authorization": "Bearer very-hidden"})
    assert (row.error, len(row.tools)) == ("", 2)
    assert row.sealed_headers is not None
    assert b"very-hidden" not in bytes(row.sealed_headers)
    assert "very-hidden" in sealed.unseal(row.sealed_headers)
    assert "hidden" not in mcp_servers.origin(row)
    assert not [entry for entry in AuditEntry.objects.filter(team=team) if "hidden" in str(entry.after)]
    assert mcp.methods[-1] == "DELETE", "a look closes its session"


def test_a_secret_does_not_follow_to_another_address(team: Team, mcp: Mcp) -> None:
    row = add(team, mcp.url, headers={"Authorization": "Bearer x"})
    mcp_servers.change(row, url=f"{mcp.url}/", actor=SYSTEM)
    assert mcp_servers.headers_of(row) == {}
    assert "authorization" not in mcp.headers[-1]
    mcp_servers.change(row, url=row.url, headers={"X-Key": "y"}, actor=SYSTEM)
    assert mcp.headers[-1]["x-key"] == "y"
    mcp_servers.change(row, is_active=False, actor=SYSTEM)
    assert mcp_servers.headers_of(row) == {"X-Key": "y"}


def test_a_server_that_is_away_keeps_what_it_listed(team: Team, mcp: Mcp) -> None:
    row = add(team, mcp.url)
    mcp.wants = "something else"
    mcp_servers.look(row)
    assert "other credentials" in row.error
    assert len(mcp_servers.tools_of(row)) == 2
    mcp.wants = ""
    assert mcp_servers.look(row).error == ""


def test_inner_addresses_are_refused_unless_an_operator_allows_them(team: Team, settings: Settings) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = ()
    for url in ("http://127.0.0.1:9/mcp", "http://[::1]/", "http://169.254.169.254/", "ftp://a.example/", "nonsense"):
        with pytest.raises(Invalid) as raised:
            add(team, url)
        assert raised.value.field == "url"
    row = add(team, "http://localhost:1/mcp")  # a name is judged when it is called
    assert "no public address" in row.error


@pytest.mark.parametrize("name", ["", "Shop", "a__b", "-a", "a b", "a" * 31, "a_", "é"])
def test_names_are_short_and_plain(team: Team, name: str) -> None:
    with pytest.raises(Invalid) as raised:
        add(team, "https://a.example/", name=name)
    assert raised.value.field == "name"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "a"}, {"content-length": "1"}, {"Mcp-Session-Id": "1"}, {"Bad Name": "a"}, {"A": "b\r\nC: d"}, {"A": "é"},
        {"A": "x" * 4_001}, {str(number): "x" for number in range(21)},
    ],
)  # fmt: skip
def test_headers_that_would_break_out_are_refused(team: Team, headers: dict[str, str]) -> None:
    with pytest.raises(Invalid) as raised:
        add(team, "https://a.example/", headers=headers)
    assert raised.value.field == "headers"
    assert not McpServer.objects.exists()


def test_a_name_is_there_once_in_a_team_and_others_see_nothing(team: Team, mcp: Mcp, settings: Settings) -> None:
    row = add(team, mcp.url)
    with pytest.raises(Conflict):
        add(team, mcp.url)
    other = make_team("Other")
    for id in ("shop", str(row.id), "nonsense"):
        with pytest.raises(NotFound):
            mcp_servers.find(other, id)
    assert mcp_servers.find(team, str(row.id)) == mcp_servers.find(team, "shop") == row
    settings.LIMITS = {**settings.LIMITS, "mcp_servers_per_team": 1}
    with pytest.raises(Invalid, match="at most 1"):
        add(team, mcp.url, name="second")
    mcp_servers.remove(row, actor=SYSTEM)
    assert mcp_servers.of_team(team) == []
    assert sorted(AuditEntry.objects.filter(team=team, action__startswith="mcp").values_list("action", flat=True)) == [
        "mcp_server.add",
        "mcp_server.remove",
    ]


def test_a_team_overrules_what_a_server_says_of_its_tools(team: Team, mcp: Mcp) -> None:
    row = add(team, mcp.url)
    mcp_servers.change(row, effects={"search": "write"}, actor=SYSTEM)
    assert [(one.own_name, one.effect, one.told_effect) for one in mcp_servers.tools_of(row)] == [
        ("search", "write", "read"),
        ("order.place", "write", "write"),
    ]
    for wrong in ({"none": "read"}, {"search": "fly"}):
        with pytest.raises(Invalid, match="none|fly"):
            mcp_servers.change(row, effects=wrong, actor=SYSTEM)


@pytest.mark.parametrize("wrong", [{"none": "search"}, {"order.place": "none"}, {"search": "search"}])
def test_what_takes_a_tool_back_is_another_of_its_server(team: Team, mcp: Mcp, wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="lists no tool|itself"):
        mcp_servers.change(add(team, mcp.url), undos=wrong, actor=SYSTEM)


def test_names_that_models_could_not_say_are_made_so_that_they_can(team: Team, mcp: Mcp) -> None:
    mcp.tools = [{**READ_TOOL, "name": name} for name in ("a.b", "a b", "x" * 100, "x" * 99)]
    names = [one.name for one in mcp_servers.tools_of(add(team, mcp.url))]
    assert names[0] == "shop__a_b"
    assert len(set(names)) == 4
    assert all(len(name) <= 64 for name in names)
