"""An agent is put together in a browser: its pattern's part changes as it is chosen, and what was typed stays."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.axe import serious
from tests.browser.site import Site
from tests.browser.watched import Watched


def test_a_team_of_agents_is_put_together(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/agents/new")
    page.get_by_label("Name", exact=True).fill("board of two")
    page.get_by_label("Model, or a group of models").fill("demo/echo")
    page.get_by_role("textbox", name="Instructions").fill("Decide.")
    page.get_by_label("Pattern").select_option("Debate")
    expect(page.get_by_label("Max rounds")).to_have_value("3")
    expect(page.locator(".memberbox")).to_have_count(2)
    for place, name in enumerate(("optimist", "sceptic")):
        page.locator(f"#member-{place}-name").fill(name)
    page.get_by_label("Max rounds").fill("2")
    page.get_by_role("button", name="Add a member").click()
    expect(page.locator(".memberbox")).to_have_count(3)
    page.locator("#member-2-name").fill("resolver")
    page.locator("#member-2-role").select_option("judge")
    page.locator("#member-2-agent").select_option("the agent refund-resolver")
    expect(page.locator("#member-0-name")).to_have_value("optimist")
    assert serious(page) == []
    page.get_by_role("button", name="Make the agent").click()
    page.wait_for_url("**/agents/board%20of%20two")
    expect(page.get_by_role("definition").filter(has_text="optimist")).to_contain_text("resolver")


def test_what_is_wrong_is_shown_and_the_rest_stays(site: Site, page: Page, watched: Watched) -> None:
    watched.expect("status of 422")
    page.goto(f"{site.url}/agents/new?name=wrong")
    page.get_by_role("textbox", name="Instructions").fill("Decide.")
    page.get_by_label("Pattern").select_option("Socratic")
    expect(page.locator("#member-0-role")).to_have_value("questioner")
    page.get_by_role("button", name="Take out questioner").click()
    expect(page.locator(".memberbox")).to_have_count(1)
    page.get_by_label("Model, or a group of models").fill("demo/echo")
    page.get_by_label("Model, or a group of models").press("Enter")
    expect(page.locator("#pattern-note")).to_contain_text("one must be the questioner")
    expect(page.get_by_role("textbox", name="Instructions").first).to_have_value("Decide.")
    page.emulate_media(reduced_motion="reduce")
    assert serious(page) == []
