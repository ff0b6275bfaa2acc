"""Pages that keep themselves up to date, and never under a person's hands."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.site import Site, new_trace, refund_run
from tests.browser.watched import Watched


def test_the_waiting_line_turns_at_the_first_span_and_then_stops_asking(
    site: Site, signed_in_as: Callable[..., BrowserContext], watched: Watched
) -> None:
    with signed_in_as(site.fresh) as context:
        page = context.new_page()
        watched.watch(page)
        page.goto(site.url)
        page.wait_for_url("**/onboarding")
        expect(page.get_by_text("Waiting for the first span")).to_be_visible()
        page.get_by_role("button", name="Make a key and show it").click()
        expect(page.locator(".snippet pre").first).to_contain_text("wf_live_")
        site.send(site.fresh, refund_run(new_trace(), words="The very first"))
        expect(page.get_by_text("The first span is here")).to_be_visible()
        expect(page.locator("#first-span[data-live]")).to_have_count(0)
        page.get_by_role("link", name="Open the run").click()
        page.wait_for_url("**/runs/*")
        expect(page.locator("h1")).to_contain_text("The very first")


def test_a_new_run_comes_into_the_list_by_itself(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-1h", wait_until="networkidle")
    page.mouse.move(700, 5)
    site.send(site.core, refund_run(new_trace(), hours_ago=0.01, words="Came while you looked"))
    expect(page.get_by_text("Came while you looked").first).to_be_visible(timeout=20_000)


def test_a_list_that_is_pointed_into_waits_and_says_how_much_is_new(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-1h", wait_until="networkidle")
    page.locator("[data-row]").first.hover()
    site.send(site.core, refund_run(new_trace(), hours_ago=0, words="Came while you pointed"))
    pill = page.locator("[data-live-pill]")
    expect(pill).to_contain_text("1 new", timeout=20_000)
    expect(page.get_by_text("Came while you pointed")).to_have_count(0)
    pill.click()
    expect(page.get_by_text("Came while you pointed").first).to_be_visible()


def test_live_is_switched_off_and_on_by_a_key(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-1h", wait_until="networkidle")
    page.keyboard.press(".")
    expect(page.locator("[data-live-pill]")).to_contain_text("Live paused")
    page.keyboard.press(".")
    expect(page.locator("[data-live-pill]")).not_to_be_visible()


def test_a_hidden_tab_asks_nothing(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-1h", wait_until="networkidle")
    page.evaluate("Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(6_500)
    assert asked == []


def test_a_dragged_stretch_of_a_chart_becomes_the_pages_time_range(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/costs?from=now-7d", wait_until="networkidle")
    plot = page.locator("[data-figure][data-drawn] .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    page.wait_for_url("**from=20*Z&to=20*Z*")
    expect(page.locator("[data-period] summary")).to_contain_text("to")
