"""The frame: who sees which way, themes before paint, and errors as pages and as toasts."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from django.test import Client, RequestFactory

from dashboards.views import errors
from tests.make import make_user, signed_in
from tracking.errors import Unavailable
from tracking.models import Team, User

ATTRIBUTES_THAT_RUN = re.compile(r"<[^>]*\s(?:style|on[a-z]+)\s*=", re.IGNORECASE)


@pytest.mark.parametrize("path", ["/onboarding", "/prices", "/nothing", "/login", "/settings/keys"])
def test_no_page_has_inline_style_or_script(alice: User, path: str) -> None:
    page = signed_in(alice).get(path).content.decode()
    assert not ATTRIBUTES_THAT_RUN.search(page)
    assert "<style" not in page
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page) if "application/json" not in tag)


def test_every_page_marks_its_own_place_and_only_people_with_a_team_get_its_keys(alice: User) -> None:
    client = signed_in(alice)
    for _ in range(2):
        for path, label in (("/prices", "Prices"), ("/settings/account", "Settings"), ("/runs", "Runs")):
            page = client.get(path).content.decode()
            marked = set(re.findall(r'title="([^"]+)"[^>]* aria-current="page"', page))
            assert marked == {label}
            assert "<dd>settings</dd>" in page
        stranger = Client().get("/login").content.decode()
        assert "<dd>settings</dd>" not in signed_in(make_user(f"Nobody {_}")).get("/prices").content.decode()
        assert "aria-current" not in stranger


def test_every_page_forbids_what_it_does_not_use(alice: User) -> None:
    policy = signed_in(alice).get("/prices")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("cookie", "theme"), [("dark", ' data-theme="dark"'), ("light", ' data-theme="light"'), ("<x>", "")]
)
def test_the_theme_of_the_cookie_is_in_the_first_byte(alice: User, cookie: str, theme: str) -> None:
    client = signed_in(alice)
    client.cookies["wflo_theme"] = cookie
    assert f'<html lang="en"{theme}>' in client.get("/prices").content.decode()


def test_the_team_switcher_lists_the_persons_teams_and_no_others(alice: User, other_team: Team) -> None:
    page = signed_in(alice).get("/prices").content.decode()
    assert "?team=core" in page
    assert f"?team={other_team.slug}" not in page


@pytest.mark.parametrize("path", ["/nothing", "/runs/00000000-0000-0000-0000-000000000000", "/prices?team=elsewhere"])
def test_what_is_not_there_or_not_theirs_is_the_same_page(alice: User, other_team: Team, path: str) -> None:
    answer = signed_in(alice).get(path)
    page = answer.content.decode()
    assert answer.status_code == 404
    assert answer["X-Request-Id"] in page
    assert "<nav" in page or "?team=" in path


def test_a_fragment_that_fails_is_a_toast(alice: User) -> None:
    answer = signed_in(alice).get("/runs/nothing-like-it", headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "data-toast" in page
    assert "<html" not in page


def test_a_form_without_its_token_changes_nothing_and_says_so(alice: User) -> None:
    answer = signed_in(alice, csrf=True).post("/onboarding/key")
    assert answer.status_code == 403
    assert "This form has expired" in answer.content.decode()


def test_a_person_without_a_team_is_told_whom_to_ask(db: None) -> None:
    answer = signed_in(make_user("Nobody")).get("/prices")
    assert answer.status_code == 403
    assert "Ask an admin" in answer.content.decode()


@pytest.mark.urls("tests.dashboards.broken_urls")
def test_an_error_of_ours_is_a_page_without_its_detail(alice: User) -> None:
    client = signed_in(alice)
    client.raise_request_exception = False
    answer = client.get("/broken")
    page = answer.content.decode()
    assert answer.status_code == 500
    assert answer["X-Request-Id"] in page
    assert "secret detail" not in page
    assert "<nav" not in page


@pytest.mark.urls("tests.dashboards.broken_urls")
def test_a_question_the_store_gave_up_is_said_with_what_to_do(alice: User) -> None:
    client = signed_in(alice)
    client.raise_request_exception = False
    answer = client.get("/slow")
    assert answer.status_code == 503
    assert "Ask for a shorter time range" in answer.content.decode()


def test_pages_of_our_own_errors_ask_no_database(rf: RequestFactory) -> None:
    """This test may not touch it: who breaks that is told so."""
    request = rf.get("/")
    assert errors.server_error(request).status_code == 500
    assert errors.unavailable(request, Unavailable()).status_code == 503


@pytest.mark.parametrize("q", ["pri", "Prices"])
def test_the_palette_finds_pages(alice: User, q: str) -> None:
    page = signed_in(alice).get(f"/palette?q={q}").content.decode()
    assert 'href="/prices"' in page
    assert 'href="/costs"' not in page


def test_the_palette_says_what_it_looked_for_when_there_is_nothing(alice: User) -> None:
    page = signed_in(alice).get("/palette?q=%3Cb%3Enothing%00%25").content.decode()
    assert "&lt;b&gt;nothing" in page
    assert "<b>nothing" not in page


@pytest.mark.parametrize(
    ("back", "leads_to"),
    [
        ("/runs?q=a%3Ab&from=now-7d&cursor=x", "/runs?q=a%3Ab&from=now-2h"),
        ("/costs", "/costs?from=now-2h"),
        ("//evil.example/x", "/?from=now-2h"),
        ("https://evil.example/x", "/?from=now-2h"),
        ("javascript:alert(1)", "/?from=now-2h"),
    ],
)
def test_a_typed_time_range_leads_back_to_this_site_only(alice: User, back: str, leads_to: str) -> None:
    address = f"/period?text=2h&next={quote(back, safe='')}"
    client: Client = signed_in(alice)
    assert client.get(address)["Location"] == leads_to
    assert client.get(address, headers={"HX-Request": "true"})["HX-Redirect"] == leads_to


def test_a_range_picked_from_a_calendar_is_on_the_teams_clock_unless_utc_was_chosen(team: Team, alice: User) -> None:
    Team.objects.filter(pk=team.pk).update(time_zone="Asia/Tokyo")
    client = signed_in(alice)
    address = "/period?start=2026-11-01T09:00&end=2026-11-02T09:00&next=/runs"
    assert client.get(address)["Location"] == "/runs?from=2026-11-01T00%3A00%3A00Z&to=2026-11-02T00%3A00%3A00Z"
    client.cookies["wflo_zone"] = "utc"
    assert client.get(address)["Location"] == "/runs?from=2026-11-01T09%3A00%3A00Z&to=2026-11-02T09%3A00%3A00Z"
    assert client.get("/period?start=2026-11-01T09:00&next=/runs").status_code == 400


def test_a_typed_time_range_that_is_none_is_said_in_place_or_as_a_page(alice: User) -> None:
    client = signed_in(alice)
    answer = client.get("/period?text=%3Cb%3E", headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert "&lt;b&gt;" in answer.content.decode()
    assert client.get("/period?text=soon").status_code == 400
