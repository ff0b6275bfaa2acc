"""What stands round every page, in a real browser under the real CSP."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from tests.browser.axe import COLOURS, serious
from tests.browser.pages import PAGES, PageOf
from tests.browser.site import Site
from tests.browser.watched import Watched

WIDE: ViewportSize = {"width": 1400, "height": 900}
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def window(site: Site, signed_in_as: Callable[..., BrowserContext]) -> Iterator[BrowserContext]:
    """Of Alice, for one page after another: scripts and styles are fetched once, as in a person's browser."""
    with signed_in_as(site.core, viewport=WIDE) as context:
        yield context


@pytest.mark.parametrize("of", PAGES, ids=lambda of: of.name)
def test_a_page_is_sound(site: Site, window: BrowserContext, watched: Watched, of: PageOf) -> None:
    """No complaint, its figures drawn, nothing serious for axe in either theme, and not wider than a telephone."""
    page = window.new_page()
    watched.watch(page)
    if of.status != 200:
        watched.expect(f"status of {of.status}")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    answer = page.goto(site.address(of.path), wait_until="networkidle")
    assert answer is not None
    assert answer.status == of.status
    assert "unsafe" not in answer.headers["content-security-policy"]
    expect(page.locator("main")).to_be_visible()
    for figure in page.locator("[data-figure]").all():
        figure.scroll_into_view_if_needed()
        expect(figure).to_have_attribute("data-drawn", "true")
    assert page.evaluate(WIDTH) <= 1400
    assert serious(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert serious(page, *COLOURS) == []
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator(".nav")).to_have_css("position", "sticky")
    page.wait_for_function(f"{WIDTH} <= 390", timeout=5_000)
    page.close()


def test_the_theme_goes_round_and_is_there_before_the_page_is_painted(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/prices")
    html, button = page.locator("html"), page.locator("[data-theme-next]")
    assert html.get_attribute("data-theme") is None
    button.click()
    expect(html).to_have_attribute("data-theme", "light")
    button.click()
    expect(html).to_have_attribute("data-theme", "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    answer = page.goto(f"{site.url}/prices")
    assert answer is not None
    assert '<html lang="en" data-theme="dark"' in answer.text()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    button.click()
    assert html.get_attribute("data-theme") is None
    page.reload()
    assert html.get_attribute("data-theme") is None


def test_a_figure_is_drawn_again_in_the_colours_of_the_other_theme(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/costs?from=now-7d", wait_until="networkidle")
    figure = page.locator("[data-figure][data-drawn]").first
    line = figure.locator(".yaxislayer-above text, .ytick text").first
    before = line.evaluate("text => getComputedStyle(text).fill")
    page.locator("[data-theme-next]").click()
    page.locator("[data-theme-next]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(line).not_to_have_css("fill", before)


def test_a_page_without_a_chart_does_not_load_plotly_and_is_light(site: Site, page: Page) -> None:
    sizes: dict[str, int] = {}
    page.on("response", lambda response: sizes.__setitem__(response.url, len(response.body())))
    page.goto(f"{site.url}/prices", wait_until="networkidle")
    assert not any("plotly.min" in url for url in sizes)
    assert sum(sizes.values()) < 250_000


def test_a_request_that_fails_is_said_and_the_page_stays(site: Site, page: Page, watched: Watched) -> None:
    watched.expect("status of 500")
    watched.expect("Response Status Error Code 500")
    page.goto(f"{site.url}/prices?list=all", wait_until="networkidle")
    page.route(
        "**/prices?q=*", lambda route: route.fulfill(status=500, body="<div class='toast' data-toast>It broke</div>")
    )
    page.locator("[data-search]").fill("claude")
    expect(page.locator("#toasts")).to_contain_text("It broke")
    expect(page.locator("table.prices tbody tr").first).to_be_visible()


def test_a_server_that_is_away_is_said_once_and_taken_back_when_it_answers(
    site: Site, page: Page, watched: Watched
) -> None:
    watched.expect("ERR_INTERNET_DISCONNECTED")
    watched.expect("error: htmx:")
    page.goto(f"{site.url}/prices?list=all", wait_until="networkidle")
    page.context.set_offline(True)
    page.locator("[data-search]").press_sequentially("cla", delay=250)
    expect(page.locator("#toasts [data-away]")).to_have_count(1)
    page.context.set_offline(False)
    page.locator("[data-search]").fill("claude-sonnet-4-5")
    expect(page.locator("#prices")).to_contain_text("claude-sonnet-4-5")
    expect(page.locator("#toasts [data-away]")).to_have_count(0)


def test_the_error_page_gives_an_id_that_is_in_the_answer_too(site: Site, page: Page, watched: Watched) -> None:
    watched.expect("status of 404")
    answer = page.goto(f"{site.url}/runs/00000000000000000000000000000000")
    assert answer is not None
    assert answer.status == 404
    page.locator(".problem [data-copy]").click()
    assert page.evaluate("navigator.clipboard.readText()") == answer.headers["x-request-id"]


def test_the_time_range_is_typed_and_stands_in_the_address(site: Site, page: Page, watched: Watched) -> None:
    watched.expect("status of 422")
    page.goto(f"{site.url}/runs?q=agent%3Arefund-resolver", wait_until="networkidle")
    page.keyboard.press("t")
    box = page.locator("#period-text")
    expect(box).to_be_focused()
    box.fill("last fortnight")
    box.press("Enter")
    expect(page.locator("form:has(#period-text) .fault")).to_contain_text("no day")
    box.fill("3d")
    box.press("Enter")
    page.wait_for_url("**from=now-3d*")
    assert "q=agent" in page.url


def test_the_time_range_is_picked_from_a_calendar_on_the_teams_clock_or_utc(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?q=agent%3Arefund-resolver", wait_until="networkidle")
    page.keyboard.press("t")
    page.locator("[name=start]").fill("2026-11-01T09:00")
    page.locator("[name=end]").fill("2026-11-02T17:30")
    page.locator(".picked button").click()
    page.wait_for_url("**from=2026-11-01T08%3A00%3A00Z&to=2026-11-02T16%3A30%3A00Z")
    assert "q=agent" in page.url
    page.keyboard.press("t")
    with page.expect_navigation():
        page.locator("[data-zone-set=utc]").click()
    expect(page.locator("[name=start]")).to_have_value("2026-11-01T08:00")


def test_rows_are_dense_or_roomy_as_chosen_and_stay_so(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs", wait_until="networkidle")
    page.locator("[data-density-set=tight]").click()
    page.reload(wait_until="networkidle")
    expect(page.locator("html")).to_have_attribute("data-density", "tight")
    page.locator('[data-density-set=""]').click()
    page.reload(wait_until="networkidle")
    assert page.locator("html").get_attribute("data-density") is None
