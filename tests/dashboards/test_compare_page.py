"""Two runs side by side as a page: what is said of them, rows opened and paged, whatever the address holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import quote

import plotly.graph_objects as go
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboards import compare_figures
from dashboards.views import compare as view
from tests.compared import asks, fork, root, run_of, uses, walk
from tests.dashboards.test_figures import resolved
from tests.make import make_team, make_user, signed_in
from tests.told import UNPRICED, a_store
from tests.tracking.ingest.spans import stored
from tracking.ingest.writer import Store
from tracking.models import Run, Team
from tracking.reports.compare import compare

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


@pytest.fixture
def page(team: Team) -> Client:
    return signed_in(make_user("Alice", team=team, role="viewer"))


def shown(page: Client, address: str, status: int = 200, **headers: str) -> str:
    answer = page.get(address, headers=headers)
    assert answer.status_code == status, answer.content[:2000]
    text: str = answer.content.decode()
    return text


def part(page: Client, address: str) -> str:
    return shown(page, address, **{"HX-Request": "true"})


def words(html: str) -> str:
    """What is read of it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def numbers(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'<tbody id="step-(\d+)"', html)]


def test_a_fork_beside_its_parent(page: Client, store: Store, team: Team) -> None:
    a, b = fork(store, team)
    html = shown(page, "/compare?a=first&b=second")
    text = words(html)
    assert "They part at step 3 . From there B cost $0.003290 more than A." in text
    assert "2 steps shared, $0.0002100 paid once B goes on from A, checkpoint 1; they cost $0 in B" in text
    assert "Reused, paid before $0.0002100 2 steps of 00000000 , checkpoint 1" in text
    assert "Both together: $0.004340 ; the 2 steps both have ( $0.0002100 ) counted once." in text
    assert "other models: gpt-4o only in B" in text
    assert "other answer" in text
    assert numbers(html) == [3, 4]
    assert html.count('id="divergence"') == 1
    assert 'href="#divergence"' in html
    assert f'href="/runs/{a.id}"' in html
    assert f'href="/runs/{b.id}"' in html
    assert numbers(shown(page, "/compare?a=first&b=second&shared=1")) == [1, 2, 3, 4]


def test_it_is_found_by_any_of_three_ids_and_swapped(page: Client, store: Store, team: Team) -> None:
    a, b = fork(store, team)
    for one, other in (("first", "second"), (a.id, b.id), (a.trace_id.hex, b.trace_id.hex)):
        html = shown(page, f"/compare?a={one}&b={other}&only=differences")
        assert f'href="/compare?a={other}&amp;b={one}&amp;only=differences"' in html
    assert "B goes on" not in words(shown(page, "/compare?a=second&b=first"))
    assert "A goes on from B, checkpoint 1; they cost $0 in A" in words(shown(page, "/compare?a=second&b=first"))


def test_only_differences_can_be_shown(page: Client, store: Store, team: Team) -> None:
    stored(store, team, *walk("a", trace=1))
    stored(store, team, *walk("b", trace=2, answers="It is in Rome."))
    assert numbers(shown(page, "/compare?a=a&b=b")) == [1, 2, 3, 4]
    html = shown(page, "/compare?a=a&b=b&only=differences")
    assert numbers(html) == [4]
    assert "4 steps side by side, 1 differs" in words(html)
    assert "answers something else" in html
    stored(store, team, *walk("c", trace=3))
    html = shown(page, "/compare?a=a&b=c&only=differences")
    assert "No step differs." in html
    assert "They did the same , word for word" in words(html)


def test_a_row_opens_to_what_its_words_differ_in(page: Client, store: Store, team: Team) -> None:
    fork(store, team)
    stored(store, team, *walk("third", trace=3, found={"place": "Rome"}))
    whole = shown(page, "/compare?a=first&b=second&open=3")
    row = part(page, "/compare?a=first&b=second&open=3&part=row&row=3")
    assert row.strip().startswith('<tbody id="step-3"')
    assert row.strip() in whole
    assert "What it was told" in row
    assert '<div class="del"><span class="sr">only in A: </span>What now?</div>' in row
    assert '<div class="add"><span class="sr">only in B: </span>What now, in short?</div>' in row
    assert "What it answers the same in both" in words(row)
    closed = part(page, "/compare?a=first&b=second&part=row&row=3")
    assert 'aria-expanded="false"' in closed
    assert "What it was told" not in closed
    row = words(part(page, "/compare?a=first&b=third&open=2&part=row&row=2"))
    assert "Answered Where What A B place changed Oslo Rome" in row
    assert "Called with the same in both" in row


def test_a_part_asked_for_by_a_browser_is_a_whole_page(page: Client, store: Store, team: Team) -> None:
    fork(store, team)
    for more in ("part=row&row=3&open=3", "part=rows&after=3", "part=strange"):
        assert shown(page, f"/compare?a=first&b=second&{more}").startswith("<!doctype html>")


def test_long_runs_come_in_pages_and_the_links_find_their_row(
    page: Client, store: Store, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "ROWS", 20)
    monkeypatch.setitem(settings.LIMITS, "compare_texts", 30)
    for trace, name in ((1, "a"), (2, "b")):
        steps = [
            asks(n, f"{n} {name if n == 47 else ''}", "So.", trace=trace, tokens=(n * (trace if n == 47 else 1), 5))
            for n in range(2, 62)
        ]
        stored(store, team, root(name, trace=trace, lasts=70), *steps)
    html = shown(page, "/compare?a=a&b=b")
    assert numbers(html) == list(range(1, 21))
    assert "too long to read all that was said" in html
    assert 'href="/compare?a=a&amp;b=b&amp;after=42#divergence"' in html
    assert 'id="divergence"' in shown(page, "/compare?a=a&b=b&after=42")
    more = part(page, "/compare?a=a&b=b&after=20&part=rows")
    assert more.strip().startswith("<tbody")
    assert numbers(more) == list(range(21, 41))
    assert "after=60" not in part(page, "/compare?a=a&b=b&after=40&part=rows")
    assert 43 in numbers(shown(page, "/compare?a=a&b=b&open=46"))
    assert "There are no steps after 60." in shown(page, "/compare?a=a&b=b&after=60")


def test_unknown_is_said_and_is_no_zero(page: Client, store: Store, team: Team) -> None:
    stored(store, team, root("a", trace=1), asks(2, "x", "y", trace=1))
    stored(store, team, root("b", trace=2), asks(2, "x", "y", trace=2, model=UNPRICED))
    text = words(shown(page, "/compare?a=a&b=b"))
    assert "what that cost is not known, for a call has no price" in text
    assert "cost not comparable: a call has no price" in text
    assert "Cost, all in all $0.0002100 unpriced unpriced" in text


def test_one_run_twice_and_runs_without_steps(page: Client, store: Store, team: Team) -> None:
    stored(store, team, root("a", trace=1))
    stored(store, team, root("b", trace=2))
    stored(store, team, *walk("c", trace=3))
    assert "Neither run has a step yet." in shown(page, "/compare?a=a&b=b")
    text = words(shown(page, "/compare?a=c&b=c"))
    assert "This is one run twice." in text
    assert "4 steps shared, $0.0006300 paid once Show them" in text


def test_without_runs_it_says_what_it_is_for_and_what_to_choose(page: Client, store: Store, team: Team) -> None:
    assert "Name two runs" in shown(page, "/compare")
    stored(store, team, *walk("first"))
    assert "There is no other run yet." in shown(page, "/compare?a=first")
    fork(store, team)
    html = shown(page, "/compare?a=first")
    assert "runs of planner, the newest first" in words(html)
    assert f'href="/compare?a=first&amp;b={run_of(team, "second").id}"' in html
    assert f'href="/compare?b=first&amp;a={run_of(team, "second").id}"' in shown(page, "/compare?b=first")
    assert '<option value="second"' in html


def test_a_run_that_is_not_there_is_named(page: Client, store: Store, team: Team) -> None:
    stored(store, team, *walk("first"))
    for address in ("/compare?a=first&b=nobody", "/compare?a=nobody&b=first", f"/compare?a=first&b={'x' * 300}"):
        html = shown(page, address, status=404)
        assert html.count("This team has no run of that id, external id or trace id.") == 1
        assert 'aria-invalid="true"' in html
        assert "It may be another team&#x27;s" in html or "Compare" in html
    assert shown(page, "/compare?a=first&b=nobody&part=row&row=1", 404, **{"HX-Request": "true"})
    for wrong in ("after=x", "open=-1", "row=1.5"):
        shown(page, f"/compare?a=first&b=first&{wrong}", status=400)
    assert shown(page, "/compare?a=first&b=first&part=row&row=99", 404, **{"HX-Request": "true"})


def test_a_stranger_finds_neither(store: Store, team: Team) -> None:
    fork(store, team)
    stranger = signed_in(make_user("Charlie", team=make_team("Elsewhere"), role="admin"))
    html = shown(stranger, "/compare?a=first&b=second", status=404)
    assert html.count("This team has no run of that id") == 2
    assert "parcel" not in html


def test_what_was_said_is_text(page: Client, store: Store, team: Team) -> None:
    for trace, name in ((1, "a"), (2, "b")):
        stored(
            store, team, root(name, trace=trace, says=EVIL, answers=f"{EVIL}{trace}"), asks(2, EVIL, f"{EVIL} {trace}", trace=trace, agent=EVIL),
            uses(3, f"{EVIL}{trace}", {EVIL: trace}, {EVIL: EVIL * trace}, trace=trace),
        )  # fmt: skip
    for number in (1, 2):
        html = shown(page, f"/compare?a=a&b=b&open={number}")
        assert "<script>alert(1)" not in html
        assert "<img src=x" not in html
    assert "<script>alert(1)" not in shown(page, f"/compare?a={quote(EVIL)}&b=a", status=404)


def test_a_page_asks_the_database_the_same_for_any_number_of_steps(page: Client, store: Store, team: Team) -> None:
    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            shown(page, "/compare?a=a&b=b&open=1")
        return len(queries)

    for trace, name in ((1, "a"), (2, "b")):
        stored(store, team, *walk(name, trace=trace))
    few = asked()
    for trace in (1, 2):
        stored(store, team, *[asks(n, f"{n}", "So.", trace=trace) for n in range(6, 40)])
    assert asked() == few
    assert few < 36


def test_the_figure_is_what_plotly_understands(store: Store, team: Team) -> None:
    a, b = fork(store, team)
    figure: dict[str, Any] = resolved(compare_figures.cost_so_far(compare(team.id, a, b)))
    go.Figure({"data": figure["data"], "layout": figure["layout"]})
    assert [line["y"][-1] for line in figure["data"]] == [0.00063, 0.00392]
    assert figure["layout"]["shapes"][0]["x1"] == 2


def test_runs_pages_lead_to_it(page: Client, store: Store, team: Team) -> None:
    a, b = fork(store, team)
    assert f'href="/compare?a={a.id}"' in shown(page, f"/runs/{a.id}")
    Run.objects.filter(team=team, id=b.id).update(parent_run_id=a.id)
    assert f'href="/compare?a={a.id}&amp;b={b.id}"' in shown(page, f"/runs/{b.id}")
    assert "/compare?a=" in shown(page, f"/runs/{a.id}?tab=checkpoints")


def test_while_one_of_them_runs_the_page_keeps_up(page: Client, store: Store, team: Team) -> None:
    stored(store, team, *walk("a", trace=1), *walk("b", trace=2))
    address = "/compare?a=a&b=b"
    assert 'hx-trigger="live"' not in shown(page, address)
    Run.objects.filter(team=team, id=run_of(team, "b").id).update(status=Run.Status.RUNNING, ended_at=None)
    body = part(page, address)
    assert body.startswith('<div class="stack" id="compare-body" data-live=')
    assert 'hx-get="/compare?a=a&amp;b=b"' in body
    assert "<h1>" not in body, "it is the part that changes"
    assert "data-reading" not in body
    assert "data-reading" in shown(page, f"{address}&open=1&shared=1"), "who has a row open is not disturbed"
