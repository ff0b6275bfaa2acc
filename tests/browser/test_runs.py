"""The runs list and the run page in a browser: open a step, fold, live, scroll, all of it in the address."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import serious
from tests.browser.site import Site, new_trace, refund_run


@pytest.fixture
def run(site: Site, page: Page) -> Page:
    page.goto(site.address("/runs/{run}"), wait_until="networkidle")
    return page


def test_a_step_opens_beside_the_tree_and_stands_in_the_address(site: Site, run: Page) -> None:
    run.evaluate("window.stayed = true")
    drawer = run.get_by_role("complementary", name="Span")
    expect(drawer).not_to_be_visible()
    run.locator("[data-row]").nth(1).get_by_role("link").click()
    expect(drawer.get_by_text("19,900 × $2.5/M")).to_be_visible()
    expect(drawer.locator("pre", has_text="I will look it up.")).to_be_visible()
    expect(run.locator("[data-row].chosen")).to_have_count(1)
    assert f"span={site.places['span']}" in run.url
    assert run.evaluate("window.stayed") is True, "the page was not loaded again"

    address = run.url
    run.keyboard.press("Escape")
    expect(drawer).not_to_be_visible()
    assert "span=" not in run.url
    run.goto(address)
    expect(drawer.get_by_text("19,900 × $2.5/M")).to_be_visible()


def test_the_raw_span_comes_when_it_is_asked_for(site: Site, run: Page) -> None:
    run.goto(site.address("/runs/{run}?span={span}"), wait_until="networkidle")
    expect(run.get_by_text('"gen_ai.request.model"')).to_have_count(0)
    run.get_by_role("link", name="Raw JSON").click()
    expect(run.locator("pre.raw")).to_contain_text('"gen_ai.request.model": "gpt-4o"')


def test_h_folds_what_is_below_and_l_opens_it(run: Page) -> None:
    rows = run.locator("[data-row]")
    expect(rows).to_have_count(4)
    run.keyboard.press("j")
    run.keyboard.press("h")
    expect(rows.nth(1)).not_to_be_visible()
    run.keyboard.press("l")
    expect(rows.nth(3)).to_be_visible()


def test_tabs_have_numbers_and_find_has_a_slash(run: Page) -> None:
    run.keyboard.press("1")
    run.wait_for_url("**tab=transcript*")
    expect(run.locator("pre", has_text="I will look it up.").first).to_be_visible()
    run.keyboard.press("2")
    run.wait_for_url(re.compile(r"tab=waterfall"))
    run.keyboard.press("/")
    run.keyboard.type("orders")
    run.keyboard.press("Enter")
    run.wait_for_url("**find=orders*")
    expect(run.locator("[data-row]")).to_have_count(1)


def test_a_running_run_shows_its_new_steps_and_its_end_by_itself(site: Site, page: Page) -> None:
    """OpenTelemetry sends a span when it has ended, so the root comes last."""
    trace = new_trace()
    root, *below = refund_run(trace, words="Watch me")
    site.send(site.core, below[:1])
    page.goto(f"{site.url}/runs/{trace}", wait_until="networkidle")
    head = page.locator("#run-head")
    expect(head.get_by_text("running", exact=True)).to_be_visible()
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator("#run-body").get_by_text("parent not seen yet").first).to_be_visible()
    page.mouse.move(5, 5)
    site.send(site.core, below[1:])
    expect(page.locator("[data-row]")).to_have_count(3, timeout=15_000)
    site.send(site.core, [root])
    expect(head.get_by_text("done", exact=True)).to_be_visible(timeout=15_000)
    expect(page.locator("[data-row]")).to_have_count(4, timeout=15_000)
    expect(page.locator("[data-live]")).to_have_count(0, timeout=15_000)


def test_a_box_narrows_the_list_and_stands_in_the_address(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    page.locator("fieldset", has_text="Status").get_by_label("failed").check()
    page.wait_for_url("**status=failed*")
    assert "from=now-30d" in page.url
    expect(page.get_by_text("503 Service Unavailable").first).to_be_visible()
    for row in page.locator("[data-row]").all():
        expect(row).to_contain_text("failed")


def test_two_runs_that_are_ticked_are_compared_and_one_or_three_are_not(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    compare = page.get_by_role("link", name="Compare the two")
    boxes = page.locator("#runs-list [data-select]:not([form])")
    newer, older = (boxes.nth(place).get_attribute("value") for place in (0, 1))
    boxes.nth(0).check()
    expect(compare).not_to_be_visible()
    page.locator("#runs-list [data-row]").nth(1).hover()
    boxes.nth(1).check()
    expect(compare).to_be_visible()
    boxes.nth(2).check()
    expect(compare).not_to_be_visible()
    boxes.nth(2).uncheck()
    assert serious(page) == []
    compare.click()
    page.wait_for_url(f"**/compare?*a={older}&b={newer}")
    expect(page.locator(".state").first).to_contain_text("They")


def test_a_search_becomes_chips_and_a_wrong_term_is_red(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    page.keyboard.press("/")
    page.keyboard.type("has:unpriced -env:dev")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=has*")
    expect(page.locator(".terms .term")).to_have_count(2)
    expect(page.locator(".terms .term.not")).to_have_text("-env:dev")
    expect(page.get_by_text("Price me")).to_be_visible()
    page.goto(f"{site.url}/runs?q=colour:red")
    expect(page.locator(".term.wrong")).to_have_text("colour:red")
    expect(page.get_by_role("alert")).to_contain_text('there is no term "colour"')


def test_older_runs_load_on_scroll_and_none_twice(site: Site, page: Page) -> None:
    for number in range(60):
        site.send(site.core, refund_run(new_trace(), hours_ago=200 + number, words=f"Old task {number}"))
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    expect(page.locator("[data-row]")).to_have_count(50)
    page.locator("tr.more").scroll_into_view_if_needed()
    expect(page.get_by_text("Old task 59")).to_have_count(1)
    keys = page.locator("[data-row]").evaluate_all("rows => rows.map((row) => row.dataset.key)")
    assert len(keys) == len(set(keys)) > 60


def test_the_narrow_list_is_cards_with_the_filters_behind_a_button(site: Site, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.get_by_text("starts the run")).not_to_be_visible()
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_text("starts the run")).to_be_visible()
    page.goto(site.address("/runs/{run}?span={span}"), wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
