"""The money pages in a browser: figures lead to what makes them, the address holds the question, home keeps up."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.site import AGENT, Site, new_trace, refund_run


def test_from_what_today_cost_to_the_agent_to_its_chart(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/")
    expect(page.locator(".state")).to_contain_text("today")
    page.get_by_role("table").filter(has_text="Last 14 days").get_by_role("link", name=AGENT).click()
    expect(page).to_have_url(f"{site.url}/agents/{AGENT}")
    expect(page.locator('[data-figure="fig-agent"]')).to_have_attribute("data-drawn", "true")
    expect(page.locator('[data-figure="fig-spread"] .point path').first).to_be_attached()
    page.get_by_role("link", name="Tool", exact=True).click()
    expect(page).to_have_url(f"{site.url}/agents/{AGENT}?by=tool")
    expect(page.get_by_role("heading", name="Tool calls over time")).to_be_visible()
    expect(page.locator('[data-figure="fig-agent"]')).to_have_attribute("data-drawn", "true")


def test_a_measure_a_group_and_a_filter_are_in_the_address_and_come_back(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/costs")
    page.get_by_role("navigation", name="Measure").get_by_role("link", name="Tokens").click()
    expect(page.get_by_role("heading", name="Tokens over time")).to_be_visible()
    expect(page.locator('[data-figure="fig-costs"]')).to_have_attribute("data-drawn", "true")
    page.locator("summary", has_text="by agent").click()
    page.locator("details[open]").get_by_role("link", name="Model", exact=True).click()
    expect(page).to_have_url(f"{site.url}/costs?measure=tokens&group_by=model")
    page.get_by_role("table").get_by_role("link", name="gpt-4o-mini").click()
    expect(page).to_have_url(f"{site.url}/costs?measure=tokens&group_by=model&model=gpt-4o-mini")
    expect(page.get_by_role("table").locator("tbody tr")).to_have_count(1)
    shown = page.locator(".state").inner_text()
    page.reload()
    assert page.locator(".state").inner_text() == shown
    page.get_by_role("link", name="model: gpt-4o-mini").click()
    expect(page).to_have_url(f"{site.url}/costs?measure=tokens&group_by=model")
    page.go_back()
    expect(page).to_have_url(f"{site.url}/costs?measure=tokens&group_by=model&model=gpt-4o-mini")


def test_a_bar_narrows_the_page_to_what_it_stands_for(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/costs?group_by=model&from=now-30d")
    figure = page.locator('[data-figure="fig-costs"]')
    expect(figure).to_have_attribute("data-drawn", "true")
    bar = figure.locator(".trace.bars").first.locator(".point path").last
    box = bar.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**model=gpt-4o**")
    expect(page.get_by_role("table").locator("tbody tr")).to_have_count(1)


def test_rows_come_down_as_csv(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/costs?group_by=model&from=now-30d")
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    assert started.value.suggested_filename == "wflo-cost-by-model.csv"
    assert "gpt-4o-mini" in Path(started.value.path()).read_text("utf-8")


def test_home_shows_a_run_that_began_a_moment_ago_without_being_asked(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/")
    words = "A parcel that begins to be looked for just now"
    expect(page.get_by_text(words)).to_have_count(0)
    spans = refund_run(new_trace(), hours_ago=0.01, words=words)
    site.send(site.core, spans[1:])  # its root has not ended
    expect(page.get_by_text(words)).to_be_visible(timeout=20_000)
    site.send(site.core, spans)
    expect(page.get_by_text(words)).to_have_count(0, timeout=20_000)


def test_a_narrow_screen_holds_each_money_page(site: Site, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/", "/agents?from=now-30d", f"/agents/{AGENT}", "/costs?from=now-30d&group_by=agent,model"):
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
