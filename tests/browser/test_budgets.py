"""An admin sets a budget in three clicks, raises it, and asks what another limit would have done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser import budgets_of
from tests.browser.alerts_of import in_a_thread
from tests.browser.axe import serious
from tests.browser.site import Site
from tests.browser.watched import Watched
from tracking.ledger import budgets as verbs
from tracking.models import Budget, Team


class Clicks:
    """Presses things, and knows how often."""

    def __init__(self) -> None:
        self.count = 0

    def on(self, what: Locator) -> None:
        self.count += 1
        what.click()


@pytest.fixture
def fresh_page(site: Site, signed_in_as: Callable[..., BrowserContext], watched: Watched) -> Iterator[Page]:
    """Dora of Fresh, who has no budget yet."""
    with signed_in_as(site.fresh, viewport={"width": 1400, "height": 900}) as context:
        page = context.new_page()
        watched.watch(page)
        yield page
    in_a_thread(lambda: archive_all(site.fresh.team))


def archive_all(slug: str) -> None:
    team = Team.objects.get(slug=slug)
    for budget in Budget.objects.filter(team=team, archived_at=None):
        verbs.archive(budget, team, budgets_of.HAND)


def only_one(slug: str) -> tuple[str, str, Decimal | None]:
    budget = Budget.objects.get(team__slug=slug, archived_at=None)
    return budget.scope_kind, budget.window, budget.limit_usd


def test_an_admin_sets_a_budget_in_three_clicks(site: Site, fresh_page: Page) -> None:
    clicks = Clicks()
    fresh_page.goto(f"{site.url}/budgets", wait_until="networkidle")
    clicks.on(fresh_page.get_by_role("radio", name="Each agent"))
    clicks.on(fresh_page.get_by_role("radio", name="a day"))
    clicks.on(fresh_page.get_by_role("button", name="$50", exact=True))
    expect(fresh_page.locator(".said")).to_contain_text("each agent, day holds from now on.")
    assert clicks.count == 3
    assert in_a_thread(lambda: only_one(site.fresh.team)) == ("agent", "day", 50)


def test_enter_in_the_field_sets_what_was_typed(site: Site, fresh_page: Page) -> None:
    fresh_page.goto(f"{site.url}/budgets", wait_until="networkidle")
    fresh_page.get_by_label("or USD").fill("75.50")
    fresh_page.keyboard.press("Enter")
    expect(fresh_page.locator(".said")).to_contain_text("team, month holds from now on.")
    assert in_a_thread(lambda: only_one(site.fresh.team)) == ("team", "month", Decimal("75.5"))


def test_a_budget_is_raised_and_the_raise_ends(site: Site, page: Page) -> None:
    page.goto(site.address("/budgets/{budget}"), wait_until="networkidle")
    page.get_by_role("link", name="Raise until tonight").click()
    page.get_by_label("More USD").fill("3")
    page.get_by_role("button", name="Raise", exact=True).click()
    expect(page.locator(".said")).to_contain_text("is raised")
    expect(page.locator("#budget-now .value")).to_contain_text("free of $13.00")
    page.get_by_role("button", name="End the raise").click()
    expect(page.locator("#budget-now .value")).to_contain_text("free of $10.00")


def test_what_if_follows_the_slider(site: Site, page: Page) -> None:
    page.goto(site.address("/budgets/{budget}"), wait_until="networkidle")
    page.locator("[data-slide]").fill("0.4")
    expect(page.get_by_label("Limit in USD").first).to_have_value("0.4")
    expect(page.locator("#what-if-said")).to_contain_text("calls", timeout=15_000)
    page.get_by_label("Limit in USD").first.fill("lots")
    expect(page.locator("#what-if-said .fault")).to_contain_text("limit_usd is a")


def test_spending_comes_into_the_page_by_itself_and_leases_run(site: Site, page: Page) -> None:
    page.goto(site.address("/budgets/{budget}"), wait_until="networkidle")
    page.mouse.move(700, 5)
    before = page.locator("#budget-now .value").inner_text()
    lease = page.locator("[data-lease]").first
    begun = lease.inner_text()
    in_a_thread(lambda: budgets_of.spend(Team.objects.get(slug=site.core.team)))
    expect(page.locator("#budget-now .value")).not_to_have_text(before, timeout=20_000)
    expect(lease).not_to_have_text(begun, timeout=10_000)
    assert re.fullmatch(r"\d+:\d\d", lease.inner_text())


@pytest.mark.parametrize("page", [{"viewport": {"width": 390, "height": 3000}}], indirect=True)
@pytest.mark.parametrize("path", ["/budgets", "/budgets/new", "/budgets/{budget}"])
def test_nothing_is_cut_off_on_a_narrow_screen(site: Site, page: Page, path: str) -> None:
    page.goto(site.address(path), wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious(page) == []


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
@pytest.mark.parametrize("path", ["/", "/budgets", "/budgets/new", "/budgets/{budget}", "/runs/{run}?tab=ledger"])
def test_axe_finds_nothing_serious(site: Site, page: Page, path: str) -> None:
    page.goto(site.address(path), wait_until="networkidle")
    page.emulate_media(reduced_motion="reduce")
    assert serious(page) == []
