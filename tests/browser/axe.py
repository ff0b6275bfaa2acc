"""Accessibility as axe sees it (S35)."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


COLOURS = ("color-contrast", "link-in-text-block")  # what a theme can change


def serious(page: Page, *rules: str) -> list[str]:
    """Serious and critical violations, of all rules or of some: the rule, where, and what it says of the first place."""
    options = {**_OPTIONS, "runOnly": {"type": "rule", "values": list(rules)}} if rules else _OPTIONS
    violations = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['target']} and {len(one['nodes']) - 1} more: "
        f"{one['nodes'][0]['failureSummary']}"
        for one in violations
        if one["impact"] in ("serious", "critical")
    ]
