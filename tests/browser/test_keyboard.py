"""The keys of the contract: each does its one thing, and none takes over typing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import AGENT, Site


@pytest.fixture
def runs(site: Site, page: Page) -> Page:
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    return page


@pytest.mark.parametrize(
    ("key", "path"),
    [("h", "/"), ("r", "/runs"), ("a", "/agents"), ("c", "/costs"), ("p", "/prices"), ("s", "/settings/members")],
)
def test_g_and_a_letter_go_to_a_page(site: Site, page: Page, key: str, path: str) -> None:
    page.goto(f"{site.url}/onboarding", wait_until="networkidle")
    page.keyboard.press("g")
    page.keyboard.press(key)
    page.wait_for_url(re.compile(rf"{re.escape(site.url + path)}(\?.*)?$"))


def test_question_mark_shows_the_keys_that_work_here_and_no_others(site: Site, runs: Page) -> None:
    runs.keyboard.press("?")
    keys = runs.locator("[data-dialog=keys]")
    expect(keys).to_be_visible()
    expect(keys.get_by_text("next, previous row")).to_be_visible()
    runs.keyboard.press("Escape")
    expect(keys).not_to_be_visible()
    runs.goto(f"{site.url}/settings/account", wait_until="networkidle")
    runs.keyboard.press("?")
    expect(keys.get_by_text("these keys")).to_be_visible()
    expect(keys.get_by_text("next, previous row")).not_to_be_visible()


def test_j_and_k_move_and_enter_opens(runs: Page) -> None:
    rows = runs.locator("[data-row]")
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        runs.keyboard.press(key)
        expect(rows.nth(place)).to_have_class(re.compile("keyed"))
    expect(runs.locator(".keyed")).to_have_count(1)
    runs.keyboard.press("Enter")
    runs.wait_for_url("**/runs/*")


def test_o_opens_the_row_as_a_page_and_brackets_go_to_the_runs_beside_it(runs: Page) -> None:
    runs.keyboard.press("j")
    runs.keyboard.press("j")
    runs.keyboard.press("o")
    runs.wait_for_url("**/runs/*-*")
    first = runs.url
    runs.wait_for_load_state("networkidle")
    runs.keyboard.press("]")
    runs.wait_for_url(lambda url: url != first)
    runs.wait_for_load_state("networkidle")
    second = runs.url.split("?")[0]
    runs.keyboard.press("[")
    runs.wait_for_url(lambda url: url.split("?")[0] != second)


def test_slash_is_search_and_typing_there_is_only_typing(site: Site, runs: Page) -> None:
    runs.keyboard.press("/")
    field = runs.locator("[data-search]")
    expect(field).to_be_focused()
    runs.keyboard.type("grj?xt.1[")
    expect(field).to_have_value(re.compile(re.escape("grj?xt.1[")))
    assert runs.url.startswith(f"{site.url}/runs?")
    expect(runs.locator("dialog[open]")).to_have_count(0)
    runs.keyboard.press("Escape")
    expect(field).not_to_be_focused()


def test_digits_are_tabs_of_a_run(site: Site, page: Page) -> None:
    page.goto(site.address("/runs/{run}"), wait_until="networkidle")
    tabs = page.locator(".tabs > a")
    page.keyboard.press("2")
    expect(tabs.nth(1)).to_have_attribute("aria-current", re.compile("page|true"))
    page.keyboard.press("1")
    expect(tabs.nth(0)).to_have_attribute("aria-current", re.compile("page|true"))


def test_escape_leaves_the_span_then_the_run(site: Site, page: Page) -> None:
    page.goto(site.address("/runs/{run}?span={span}"), wait_until="networkidle")
    expect(page.locator(".drawer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".drawer")).not_to_be_visible()


def test_c_copies_the_link_to_this_view(runs: Page) -> None:
    runs.keyboard.press("c")
    expect(runs.locator("#toasts")).to_contain_text("Copied")
    assert runs.evaluate("navigator.clipboard.readText()") == runs.url


def test_the_palette_finds_objects_and_goes_there_by_keys_alone(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/prices", wait_until="networkidle")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-q")).to_be_focused()
    page.keyboard.type("parcel never")
    expect(page.locator("#palette-found").get_by_text("parcel never arrived").first).to_be_visible()
    page.locator("#palette-q").fill(AGENT)
    hit = page.locator(f'#palette-found a[href="/agents/{AGENT}"]')
    expect(hit).to_be_visible()
    while hit.get_attribute("aria-selected") != "true":
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/agents/{AGENT}")


def test_the_palette_finds_a_run_by_the_beginning_of_its_trace_id(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/prices", wait_until="networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type(site.places["run"][:12])
    expect(page.get_by_role("option").first).to_contain_text("parcel never arrived")


def test_everything_in_the_frame_is_reached_by_tab_with_a_visible_focus(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    seen = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.title || document.activeElement.textContent.trim()"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {"Now", "Runs", "Agents", "Costs", "Prices", "Settings"} <= seen
