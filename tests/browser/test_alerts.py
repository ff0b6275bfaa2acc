"""Alerts come into the page by themselves, are ticked and closed together; a destination is added, tried and muted."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.alerts_of import in_a_thread
from tests.browser.axe import serious
from tests.browser.site import Site
from tests.browser.watched import Watched
from tracking import alerts
from tracking.audit import SYSTEM
from tracking.models import Alert, Destination, Team


def open_one(slug: str, name: str) -> None:
    facts = {"cycle": ["plan", name], "times": 3}
    in_a_thread(lambda: alerts.open_once(Team.objects.get(slug=slug), "loop", "high", f"loop:{name}", payload=facts))


def close_those_named(slug: str, part: str) -> None:
    team = Team.objects.get(slug=slug)
    found = Alert.objects.filter(team=team, dedupe_key__startswith=f"loop:{part}", resolved_at=None)
    alerts.resolve(team, [alert.pk for alert in found], actor=SYSTEM)


def test_an_alert_comes_into_the_list_and_the_count_by_itself(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/alerts", wait_until="networkidle")
    page.mouse.move(700, 5)
    count = page.locator(".nav .more [data-alerts-count]")
    before = int(re.sub(r"\D", "", count.inner_text()) or 0)
    open_one(site.core.team, "came-by-itself")
    expect(page.get_by_text("plan → came-by-itself").first).to_be_visible(timeout=20_000)
    expect(count).to_contain_text(str(before + 1))
    in_a_thread(lambda: close_those_named(site.core.team, "came"))


def test_alerts_are_ticked_and_closed_together(site: Site, page: Page) -> None:
    for place in range(3):
        open_one(site.core.team, f"together-{place}")
    page.goto(f"{site.url}/alerts", wait_until="networkidle")
    for place in range(2):
        page.get_by_label(re.compile(f"^Tick: .*together-{place}$")).check()
    expect(page.locator("[data-select-count]")).to_have_text("2 ticked")
    page.locator(".bulk").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".said")).to_have_text("2 alerts acknowledged.")
    expect(page.get_by_text("together-0")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^Resolve .*together-2$")).click()
    expect(page.locator(".said")).to_have_text("1 alert resolved.")
    page.goto(f"{site.url}/alerts?state=acknowledged", wait_until="networkidle")
    page.get_by_label("Tick all").check()
    expect(page.locator("[data-select]:checked")).to_have_count(page.locator("[data-select]").count())
    in_a_thread(lambda: close_those_named(site.core.team, "together"))


def test_the_keys_tick_a_row(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/alerts", wait_until="networkidle")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-select]:checked")).to_have_count(1)


def test_a_destination_is_added_tried_muted_and_removed(site: Site, page: Page, watched: Watched) -> None:
    watched.expect("status of 400")
    page.goto(f"{site.url}/settings/alerts", wait_until="networkidle")
    page.get_by_label("Name", exact=True).fill("Pager")
    page.get_by_label("Where", exact=True).select_option("webhook")
    page.get_by_label("Address", exact=True).fill("http://127.0.0.1:8123/inside")
    page.get_by_role("button", name="Add destination").click()
    expect(page.locator(".ask .fault")).to_contain_text("no public address")
    page.get_by_label("Address", exact=True).fill("https://pager.invalid/hooks/5e1f")
    page.get_by_label("a job failed").check()
    page.get_by_role("button", name="Add destination").click()
    expect(page.locator(".secret code")).to_contain_text("whsec_")
    assert "5e1f" not in page.content()
    page.get_by_role("button", name="Test Pager").click()
    expect(page.locator(".said")).to_contain_text("The test did not reach Pager. There is no host pager.invalid.")
    row = page.locator("tr", has_text="Pager")
    row.locator("summary").click()
    row.get_by_role("button", name="Mute for an hour").click()
    expect(row.locator(".badge")).to_have_text("muted")
    row.locator("summary").click()
    row.get_by_role("button", name="Remove Pager").click()
    expect(page.locator(".said")).to_contain_text("Pager hears nothing any more.")
    assert in_a_thread(lambda: Destination.objects.filter(name="Pager").count()) == 0


def test_a_rule_says_what_it_would_have_done_as_it_is_typed(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/settings/alerts", wait_until="networkidle")
    rule = page.locator(".rule", has_text="The slowest 5% of model calls").first
    rule.scroll_into_view_if_needed()
    expect(rule.locator(".preview")).to_contain_text("in the last 30 days")
    rule.get_by_label("Calls, at least").fill("1")
    rule.locator("[name=over]").fill("10")
    expect(rule.locator(".preview")).to_contain_text(
        re.compile(r"It would have spoken (once|\d+ times) in the last 30 days")
    )
    rule.locator("[name=over]").fill("ten")
    expect(rule.locator(".preview")).to_have_text("Give a number.")
    rule.locator("[name=over]").fill("5000")
    rule.get_by_role("button", name="Save").click()
    expect(page.locator(".said")).to_have_text("The rule is set.")


@pytest.mark.parametrize("page", [{"viewport": {"width": 390, "height": 3000}}], indirect=True)
@pytest.mark.parametrize("path", ["/alerts?state=all", "/settings/alerts", "/settings/alerts/{destination}"])
def test_nothing_is_cut_off_on_a_narrow_screen(site: Site, page: Page, path: str) -> None:
    page.goto(site.address(path), wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.querySelectorAll('main button, main input:not([type=hidden]), main select')]"
        ".filter(e => e.offsetParent).every(e => e.getBoundingClientRect().right <= innerWidth)")  # fmt: skip
    assert serious(page) == []


def test_axe_finds_nothing_serious_in_an_open_menu(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/settings/alerts", wait_until="networkidle")
    page.locator("tr", has_text="On call").locator("summary").click()
    page.emulate_media(reduced_motion="reduce")
    assert serious(page) == []
