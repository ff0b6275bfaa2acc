"""The sheet "Roll back" in a browser: over its page, by keyboard, with what changes shown before it is sent."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.alerts_of import in_a_thread
from tests.browser.axe import serious
from tests.browser.rollbacks_of import DEFINITION, TURN
from tests.browser.site import Site
from tests.tracking.queue.walked import walk
from tracking.models import AgentJob, JobRun, Team


def test_it_opens_over_the_run_and_closes(site: Site, page: Page) -> None:
    page.goto(site.address("/runs/{parent}"), wait_until="networkidle")
    sheet = page.locator("dialog.over")
    page.keyboard.press("r")
    expect(sheet).to_be_visible()
    expect(sheet.get_by_role("heading", name="Go back to checkpoint 1")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    assert serious(page) == []
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.get_by_role("link", name="Roll back to checkpoint 1, policy read").click()
    expect(sheet).to_be_visible()
    sheet.locator("footer [data-shut]").click()
    expect(sheet).to_be_hidden()
    assert page.url == site.address("/runs/{parent}")


def test_a_job_is_rolled_back_without_a_mouse(site: Site, page: Page) -> None:
    def made() -> AgentJob:
        return walk(Team.objects.get(slug=site.core.team), TURN, definition=DEFINITION)

    job = in_a_thread(made)
    page.goto(f"{site.url}/jobs/{job.id}", wait_until="networkidle")
    page.keyboard.press("r")
    sheet = page.locator("dialog.over")
    expect(sheet).to_be_visible()
    sheet.locator("summary").press("Enter")
    sheet.get_by_role("textbox", name="Instructions", exact=True).fill("Look once.")
    expect(sheet.locator(".diff .add")).to_contain_text("Look once.")
    expect(sheet.locator(".diff .del").first).to_contain_text("You are the carrier desk.")
    assert serious(page) == []
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=It goes on from step 3 as run 2")
    assert page.url == f"{site.url}/jobs/{job.id}"
    made_run = in_a_thread(lambda: JobRun.objects.get(run=f"{job.id}.2"))
    assert made_run.overrides == {"agents": {DEFINITION["name"]: {"instructions": "Look once."}}}


def test_opened_by_its_address_it_is_a_page(site: Site, page: Page) -> None:
    for path in ("/runs/{walked}/rollback?checkpoint=4", "/runs/{parent}/rollback?checkpoint=1"):
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(site.address(path), wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Escape")
        page.wait_for_url(lambda url: "/rollback" not in url)
