"""Pages on which agents are made, edited, compared, and their tools chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from dashboards.agent_words import PATTERN_WORDS, difference, written
from tests.make import make_user, signed_in
from tests.tracking.agents.test_definition import WHOLE
from tests.tracking.tools.servers import Mcp, mcp_server
from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.agents.patterns import NAMES
from tracking.audit import SYSTEM
from tracking.models import McpServer, Team, User
from tracking.tools import mcp_servers
from wflo.agents.workflows.patterns import PATTERNS

pytestmark = pytest.mark.django_db

TYPED = {
    "name": "writer",
    "description": "Writes.",
    "model": "demo/agent",
    "instructions": "You write.\r\nShortly.",
    "steps": "20",
    "tool_iterations": "5",
    "cost_usd": "$1.50",
    "minutes": "",
    "temperature": "0.2",
    "max_tokens": "",
    "parameters": '{"seed": 7}',
    "output_schema": "",
    "pattern": "single",
    "drawn": "single",
    "members": "0",
    "note": "first",
    "tools": ["calculator", "remember"],
    "approval-remember": "high",
    "approval-forget": "low",
    "rollback_on": ["loop"],
}


@pytest.fixture
def client(bob: User) -> Client:
    return signed_in(bob)


@pytest.fixture
def mcp(settings: Settings) -> Iterator[Mcp]:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = (ip_network("127.0.0.0/8"),)
    with mcp_server() as server:
        yield server


def define(team: Team, name: str = "writer", **more: Any) -> store.Kept:
    given = {"name": name, "model": "demo/agent", **more}
    return store.save(team, Definition.read(team, given), actor=SYSTEM)[0]


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def sent_again(client: Client, path: str) -> dict[str, Any]:
    """The fields of the form as a browser would send them back."""
    from html.parser import HTMLParser

    class Fields(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: dict[str, list[str]] = {}
            self.area: str | None = None
            self.select: str | None = None

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            told = dict(attrs)
            name = told.get("name") or ""
            if tag == "input" and told.get("type") == "checkbox":
                if "checked" in told:
                    self.found.setdefault(name, []).append(told.get("value") or "on")
            elif tag == "input":
                self.found.setdefault(name, []).append(told.get("value") or "")
            elif tag == "textarea":
                self.area = name
                self.found[name] = [""]
            elif tag == "select":
                self.select = name
            elif tag == "option" and self.select is not None and (self.select not in self.found or "selected" in told):
                self.found[self.select] = [told["value"] or "" if "value" in told else ""]
                self.area = None if "value" in told else f"option:{self.select}"

        def handle_endtag(self, tag: str) -> None:
            self.area = None
            if tag == "select":
                self.select = None

        def handle_data(self, data: str) -> None:
            if self.area is not None and self.area.startswith("option:"):
                self.found[self.area.removeprefix("option:")] = [data]
            elif self.area is not None:
                self.found[self.area][0] += data

    reader = Fields()
    reader.feed(text_of(client, path).partition('class="agentform"')[2].partition("</form>")[0])
    areas = {"instructions", "output_schema", "parameters"}
    return {
        name: [value[1:] if (name in areas or "-" in name) and value.startswith("\n") else value for value in values]
        for name, values in reader.found.items()
        if name and name != "csrfmiddlewaretoken"
    }


# --- making and editing -------------------------------------------------------------------------------------------------


def test_an_agent_is_made_on_a_page(team: Team, client: Client) -> None:
    text = text_of(client, "/agents/new")
    for words in ("calculator", "writes", "can be undone", "demo/agent", "Debate", "Make the agent"):
        assert words in text
    answer = client.post("/agents/new", TYPED, follow=True)
    assert answer.redirect_chain == [("/agents/writer", 302)]
    assert "writer is kept as version 1" in answer.content.decode()
    kept = store.find(team, "writer")
    assert kept.saved.note == "first"
    assert kept.body == {
        "name": "writer",
        "description": "Writes.",
        "instructions": "You write.\nShortly.",
        "model": "demo/agent",
        "tools": ["calculator", "remember"],
        "pattern": "single",
        "options": {},
        "members": [],
        "limits": {"steps": 20, "tool_iterations": 5, "cost_usd": "1.50", "minutes": None},
        "output_schema": None,
        "parameters": {"seed": 7, "temperature": 0.2},
        "approvals": {"remember": "high"},
        "rollback_on": ["loop"],
    }


@pytest.mark.parametrize("pattern", NAMES)
def test_what_is_shown_and_sent_back_is_the_same_agent(team: Team, client: Client, pattern: str) -> None:
    """Every pattern, all its options and members: saving the form as it is changes nothing."""
    more: dict[str, Any] = {"pattern": pattern, **WHOLE.get(pattern, {})}
    kept = define(team, instructions="\nfirst\n\n  second\n", output_schema={"type": "object"}, **more)
    before = Definition.read(team, kept.body | {"options": _all_options(kept)}).body
    define(team, **{name: before[name] for name in before if name != "name"})
    version = store.find(team, "writer").version
    fields = sent_again(client, "/agents/writer/edit")
    assert fields["version"] == [str(version)]
    answer = client.post("/agents/writer/edit", fields)
    assert answer.status_code == 302, answer.content
    after = store.find(team, "writer")
    assert after.body == before
    assert after.version == version


def _all_options(kept: store.Kept) -> dict[str, Any]:
    from tracking.agents.patterns import options_of

    usual = {one.name: one.default for one in options_of(kept.body["pattern"]) if one.default is not None}
    return {**usual, **{name: value for name, value in kept.body["options"].items() if value is not None}}


def test_every_pattern_has_words() -> None:
    assert list(PATTERN_WORDS) == list(NAMES)
    for name, pattern in PATTERNS.items():
        assert bool(PATTERN_WORDS[name][2]) == bool(pattern.group), name


def test_another_pattern_brings_its_options_and_parts(team: Team, client: Client) -> None:
    typed = {**TYPED, "pattern": "iterative", "again": "pattern"}
    answer = client.post("/agents/new", typed, headers={"HX-Request": "true"})
    text = answer.content.decode()
    assert answer.status_code == 200
    for words in (
        "option-max_iterations",
        "option-convergence_threshold",
        'value="producer" selected',
        "What it looks for",
    ):
        assert words in text
    assert "quality_evaluator" not in text
    assert 'value="1.50"' in text or 'value="$1.50"' in text, "what was typed elsewhere is kept"
    assert not store.names(team)


def test_members_are_added_and_taken_out(team: Team, client: Client) -> None:
    typed = {**TYPED, "members": "2", "member-0-name": "ann", "member-1-name": "ben"}
    text = client.post("/agents/new", {**typed, "again": "add"}).content.decode()
    assert 'name="members" value="3"' in text
    text = client.post("/agents/new", {**typed, "again": "remove-0"}).content.decode()
    assert 'value="ben"' in text
    assert 'value="ann"' not in text
    for odd in ("remove-7", "remove-x", "remove-", "add-9", "remove-²"):
        assert client.post("/agents/new", {**typed, "again": odd}).status_code == 200
    for odd in ("x", "-1", "99999999999999999999", "²"):
        assert client.post("/agents/new", {**typed, "members": odd, "again": "add"}).status_code == 200


def test_a_team_of_agents_is_made_on_a_page(team: Team, client: Client) -> None:
    define(team, "ann")
    typed = {
        **TYPED, "name": "board", "pattern": "iterative", "drawn": "iterative", "tools": [], "option-max_iterations": "4",
        "option-convergence_threshold": "", "members": "3", "member-0-name": "p", "member-0-role": "producer",
        "member-0-agent": "ann", "member-0-instructions": "is ignored", "member-1-name": "c", "member-1-goal": "short",
        "member-1-weight": "2", "member-1-tools": ["clock", "calculator"], "member-1-instructions": "You cut.", "member-2-name": "d",
    }  # fmt: skip
    assert client.post("/agents/new", typed).status_code == 302
    body = store.find(team, "board").body
    assert body["options"] == {"max_iterations": 4}
    assert [member["agent"] for member in body["members"]] == ["ann", None, None]
    assert (body["members"][1]["facts"], body["members"][1]["tools"]) == (
        {"goal": "short", "weight": 2.0},
        ["clock", "calculator"],
    )
    assert "Refinement" in text_of(client, "/agents/board")
    shown = client.get("/agents/board/edit").content.decode()
    assert re.findall(r'name="member-1-tools" value="(\w+)" checked', shown) == ["calculator", "clock"]
    shown = client.post(
        "/agents/new", {**typed, "member-1-tools": ["clock", "flown"], "again": "pattern"}
    ).content.decode()
    assert re.findall(r'name="member-1-tools" value="(\w+)" checked', shown) == ["clock", "flown"], (
        "one that is gone stays"
    )


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"name": ""}, "name", "at least 1"),
        ({"name": "a/b"}, "name", "has no &quot;/&quot;"),
        ({"model": ""}, "model", "at least 1"),
        ({"steps": "many"}, "steps", "no whole number"),
        ({"steps": "9000"}, "steps", "less than or equal"),
        ({"cost_usd": "-1"}, "cost_usd", "greater than 0"),
        ({"temperature": "9"}, "temperature", "from 0 to 2"),
        ({"parameters": "[1]"}, "parameters", "in braces"),
        ({"parameters": "{"}, "parameters", "no JSON"),
        ({"output_schema": '{"type": "thing"}'}, "output_schema", "no JSON schema"),
        ({"note": "n" * 501}, "note", "at most 500"),
        ({"pattern": "debate", "drawn": "debate"}, "pattern", "at least 2"),
        ({"pattern": "swarm", "drawn": "swarm"}, "pattern", "no pattern"),
        ({"members": "1", "member-0-name": "", "tools": ["hand_off"]}, "member-0-name", "at least 1"),
        (
            {"members": "1", "member-0-name": "a", "member-0-agent": "gone", "tools": ["hand_off"]},
            "member-0-agent",
            "no agent",
        ),
        (
            {"members": "1", "member-0-name": "a", "member-0-tools": "fly", "tools": ["hand_off"]},
            "member-0-tools",
            "no tool",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(
    team: Team, client: Client, typed: dict[str, Any], field: str, told: str
) -> None:
    answer = client.post("/agents/new", {**TYPED, **typed})
    text = answer.content.decode()
    assert answer.status_code == 422
    begin = text.index(f'id="{field}"')
    tag = text[begin : text.index(">", begin)]
    assert "aria-invalid" in tag or f'aria-describedby="{field}-note"' in tag
    assert told in text[begin:].partition('<p class="fault"')[2][:400]
    assert "You write.\nShortly." in text
    assert store.names(team) == {}


def test_options_that_do_not_fit_are_told_at_the_option(client: Client) -> None:
    typed = {
        **TYPED, "tools": [], "pattern": "constitutional", "drawn": "constitutional", "members": "1", "member-0-name": "g",
        "member-0-role": "generator", "option-max_revisions": "-1", "option-principles": "kind (critical): It is kind.",
    }  # fmt: skip
    for more, told in (
        ({}, "at least 0"),
        ({"option-principles": "be kind"}, "is no line such as"),
        ({"option-max_revisions": "x"}, "no whole number"),
        ({"option-principles": ""}, "needs principles"),
        ({"option-principles": "kind (sad): It is.", "option-max_revisions": "1"}, "sad"),
    ):
        answer = client.post("/agents/new", {**typed, **more})
        assert (answer.status_code, told in answer.content.decode()) == (422, True), told
    assert client.post("/agents/new", {**typed, "option-max_revisions": "1"}).status_code == 302


def test_two_people_who_edit_at_once_do_not_run_over_each_other(team: Team, client: Client) -> None:
    define(team)
    fields = sent_again(client, "/agents/writer/edit")
    define(team, instructions="by somebody else")
    answer = client.post("/agents/writer/edit", {**fields, "description": "mine"})
    assert answer.status_code == 422
    assert "was changed meanwhile: its version is 2, not 1" in answer.content.decode()
    assert store.find(team, "writer").version == 2
    taken = client.post("/agents/new", {**TYPED, "name": "writer"})
    assert "There is an agent named writer already" in taken.content.decode()


def test_a_copy_begins_with_the_fields_of_another(team: Team, client: Client) -> None:
    define(team, instructions="Be brief.", tools=["clock"])
    text = text_of(client, "/agents/new?copy=writer")
    assert "Be brief." in text
    assert 'value="clock" checked' in text
    assert 'name="name" value=""' in text
    assert 'name="name" value="planner"' in text_of(client, "/agents/new?name=planner")
    text_of(client, "/agents/new?copy=nobody", 404)


def test_a_tool_that_is_gone_is_shown_as_gone(team: Team, client: Client, mcp: Mcp) -> None:
    row = mcp_servers.add(team, name="shop", url=mcp.url, headers={}, actor=SYSTEM)
    define(team, tools=["shop__search"])
    assert "From shop" in text_of(client, "/agents/writer/edit")
    mcp_servers.remove(row, actor=SYSTEM)
    text = text_of(client, "/agents/writer/edit")
    assert 'value="shop__search" checked' in text
    assert ">gone<" in text


# --- looking ------------------------------------------------------------------------------------------------------------


def test_agents_that_never_ran_are_listed_and_have_a_page(team: Team, client: Client) -> None:
    define(team, "planner", description="Plans <b>things</b>", instructions="You plan.", limits={"cost_usd": "0.5"})
    text = text_of(client, "/agents")
    assert 'href="/agents/new"' in text
    assert 'href="/agents/planner"' in text.partition("Defined, not at work")[2]
    assert 'href="/jobs/new?agent=planner"' in text
    page = text_of(client, "/agents/planner")
    for words in ("It has not run yet", "Plans &lt;b&gt;things", "You plan.", "$0.5000", 'href="/agents/planner/edit"',
                  'href="/jobs/new?agent=planner"'):  # fmt: skip
        assert words in page
    text_of(client, "/agents/nobody", 404)


def test_versions_are_listed_compared_and_brought_back(team: Team, client: Client) -> None:
    define(team, instructions="one\nsame")
    define(team, instructions="two\nsame", tools=["clock"])
    text = text_of(client, "/agents/writer/versions")
    assert "From version 1 to 2" in text
    assert '<div class="del"><span class="sr">gone: </span>    one</div>' in text
    assert '<div class="add"><span class="sr">new: </span>    two</div>' in text
    assert "changed instructions, tools" in text
    assert "Version 1</h2>" in text_of(client, "/agents/writer/versions?b=1")
    assert "They are the same" in text_of(client, "/agents/writer/versions?a=2&b=2")
    text_of(client, "/agents/writer/versions?a=7", 404)
    for odd in ("?a=x&b=y", "?a=-1", "?b=99999999999", "?a=²"):
        assert client.get(f"/agents/writer/versions{odd}").status_code in (200, 404)
    answer = client.post("/agents/writer/versions", {"act": "restore", "version": "1"}, follow=True)
    assert "writer is version 3 now" in answer.content.decode()
    assert store.find(team, "writer").definition.instructions == "one\nsame"


def test_an_agent_is_archived_and_taken_out_again(team: Team, client: Client) -> None:
    define(team)
    answer = client.post("/agents/writer/versions", {"act": "archive"}, follow=True)
    assert "writer is archived" in answer.content.decode()
    assert "Defined, not at work" not in text_of(client, "/agents")
    page = text_of(client, "/agents/writer")
    assert "/jobs/new" not in page
    assert "It has been archived since" in text_of(client, "/agents/writer/versions")
    assert "archived: restore it" in client.post("/agents/new", TYPED).content.decode()
    client.post("/agents/writer/versions", {"act": "restore"})
    assert store.names(team) == {"writer": 1}
    answer = client.post("/agents/writer/versions", {"act": "fly"}, follow=True)
    assert "archive and restore" in answer.content.decode()


def test_who_only_looks_changes_nothing_and_others_see_nothing(team: Team, charlie: User) -> None:
    define(team, instructions="hidden words")
    viewer, stranger = signed_in(make_user("Vera", team=team, role="viewer")), signed_in(charlie)
    assert "hidden words" in text_of(viewer, "/agents/writer")
    assert "/edit" not in text_of(viewer, "/agents/writer")
    assert "/agents/new" not in text_of(viewer, "/agents")
    assert "<form" not in text_of(viewer, "/agents/writer/versions").partition("<h1>")[2].partition("</main>")[0]
    for path in ("/agents/new", "/agents/writer/edit"):
        text_of(viewer, path, 403)
        assert viewer.post(path, TYPED).status_code == 403
    assert viewer.post("/agents/writer/versions", {"act": "archive"}).status_code == 403
    for path in ("/agents/writer", "/agents/writer/edit", "/agents/writer/versions"):
        text_of(stranger, path, 404)
    assert "writer" not in text_of(stranger, "/agents").partition("<main")[2]


def test_differences_leave_out_what_is_far_from_a_change() -> None:
    before = [str(number) for number in range(40)]
    after = [*before[:5], "new", *before[5:30], *before[31:]]
    lines = difference(before, after)
    assert [line for kind, line in lines if kind == "add"] == ["new"]
    assert [line for kind, line in lines if kind == "del"] == ["30"]
    assert [kind for kind, _ in lines].count("gap") == 1
    assert written({"name": "a", "tools": [], "limits": {"steps": 5, "cost_usd": None}}) == [
        "name: a",
        "limits: steps 5",
    ]


# --- tools --------------------------------------------------------------------------------------------------------------


def test_a_server_of_tools_is_added_tested_and_changed(team: Team, alice: User, mcp: Mcp) -> None:
    admin = signed_in(alice)
    mcp.wants = "Bearer hush"
    typed = {"name": "shop", "url": f"{mcp.url}?key=hush", "headers": "Authorization: Bearer hush\r\n"}
    answer = admin.post("/settings/tools/add", typed, follow=True)
    text = answer.content.decode()
    assert "shop answered and has 2 tools" in text
    assert "shop__order_place" in text
    assert "hush" not in text
    row = McpServer.objects.get()
    change = {"url": "", "headers": "", "is_active": "on", "effect-search": "write", "effect-order.place": ""}
    change |= {"undo-search": "", "undo-order.place": "search"}
    assert "is as you say" in admin.post(f"/settings/tools/{row.id}/change", change, follow=True).content.decode()
    row.refresh_from_db()
    assert (row.effects, row.undos, row.is_active) == ({"search": "write"}, {"order.place": "search"}, True)
    assert mcp_servers.headers_of(row) == {"Authorization": "Bearer hush"}, "what was left empty stays"
    mcp.wants = "Bearer other"
    answer = admin.post(f"/settings/tools/{row.id}/test", follow=True)
    assert "wants other credentials" in answer.content.decode()
    for wrong in (
        {"headers": "no colon"},
        {"url": "http://10.0.0.1/"},
        {"effect-none": "read"},
        {"undo-none": "search"},
    ):
        answer = admin.post(f"/settings/tools/{row.id}/change", {**change, **wrong})
        assert (answer.status_code, 'class="fault"' in answer.content.decode()) == (422, True)
    admin.post(f"/settings/tools/{row.id}/remove")
    assert not McpServer.objects.exists()


def test_what_is_wrong_with_a_server_is_told_at_its_field(team: Team, alice: User) -> None:
    admin = signed_in(alice)
    for typed, told in (
        ({"name": "Big", "url": "https://a.example/"}, "small letters"),
        ({"name": "a", "url": "http://127.0.0.1/"}, "no public address"),
        ({"name": "a", "url": "https://a.example/", "headers": "Host: b"}, "set by the protocol"),
        ({"name": "a", "url": ""}, "required"),
    ):
        answer = admin.post("/settings/tools/add", typed)
        assert (answer.status_code, told in answer.content.decode()) == (422, True), told


def test_everybody_sees_the_tools_and_admins_alone_their_servers_forms(
    team: Team, bob: User, charlie: User, mcp: Mcp
) -> None:
    mcp_servers.add(team, name="shop", url=mcp.url, headers={}, actor=SYSTEM)
    text = text_of(signed_in(bob), "/settings/tools")
    assert "shop__search" in text
    assert "calculator" in text
    assert "<form" not in text.partition("<h1>")[2].partition("</main>")[0]
    assert "shop__search" not in text_of(signed_in(charlie), "/settings/tools")
    row = McpServer.objects.get()
    for act in ("change", "test", "remove"):
        assert signed_in(bob).post(f"/settings/tools/{row.id}/{act}").status_code == 403
        assert signed_in(charlie).post(f"/settings/tools/{row.id}/{act}").status_code == 404
