"""Accessibility of what is not a page of its own; the pages' is in test_frame.py."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.axe import serious
from tests.browser.site import Site


@pytest.mark.parametrize("key", ["?", "Control+k"], ids=["keys", "palette"])
def test_axe_finds_nothing_serious_in_a_dialog(site: Site, page: Page, key: str) -> None:
    page.goto(f"{site.url}/runs?from=now-30d", wait_until="networkidle")
    page.keyboard.press(key)
    page.wait_for_load_state("networkidle")
    page.emulate_media(reduced_motion="reduce")
    assert serious(page) == []


def test_axe_finds_nothing_serious_in_the_sign_in_page(site: Site, page: Page) -> None:
    page.context.clear_cookies()
    page.goto(f"{site.url}/login")
    assert serious(page) == []
