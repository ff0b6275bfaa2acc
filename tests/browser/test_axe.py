"""Accessibility of every page, light and dark: axe finds nothing serious or critical (S35)."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import Watched
from tests.browser.pages import PAGES, PageOf
from tests.browser.site import Site

_OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def found(page: Page) -> list[str]:
    """Serious and critical violations: the rule, where, and what it says of the first place."""
    violations = Axe().run(page, options=_OPTIONS).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['target']} and {len(one['nodes']) - 1} more: "
        f"{one['nodes'][0]['failureSummary']}"
        for one in violations
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("of", PAGES, ids=lambda of: of.name)
def test_axe_finds_nothing_serious(site: Site, page: Page, watched: Watched, of: PageOf) -> None:
    if of.status != 200:
        watched.expect(f"status of {of.status}")
    page.goto(site.address(of.path), wait_until="networkidle")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert found(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert found(page) == []


@pytest.mark.parametrize("key", ["?", "Control+k"], ids=["keys", "palette"])
def test_axe_finds_nothing_serious_in_a_dialog(site: Site, page: Page, key: str) -> None:
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    page.keyboard.press(key)
    page.wait_for_load_state("networkidle")
    page.emulate_media(reduced_motion="reduce")
    assert found(page) == []


def test_axe_finds_nothing_serious_in_the_sign_in_page(site: Site, page: Page) -> None:
    page.context.clear_cookies()
    page.goto(f"{site.url}/login")
    assert found(page) == []
