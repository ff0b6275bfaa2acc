"""A real Chromium on a real server. Every page a test opens is watched: nothing may be wrong in its console."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from tests import chromium
from tests.browser import agents_of, alerts_of, budgets_of, compare_of, gateway_of, rollbacks_of, steering_of
from tests.browser.site import PASSWORD, Account, Site, fill
from tests.browser.watched import Watched
from tests.make import empty_database, make_key, make_team, make_user
from tests.server import running_server
from tracking.pricing import load_bundled

_WHERE = "tests/browser/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _WHERE in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db)  # else no database of tests is made, and the real one is used


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Before its pages are closed."""
    watched = getattr(item, "funcargs", {}).get("watched")
    if watched is not None:
        watched.end()


@pytest.fixture(autouse=True)
def _django_db_marker() -> None:
    """pytest-django would open a transaction for each marked test; the browser's server could not see into it."""


@pytest.fixture(scope="session")
def site(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Its rows stay for all browser tests; afterwards the database is empty again."""
    with django_db_blocker.unblock(), running_server(tmp_path_factory.mktemp("site")) as server:
        load_bundled()
        accounts = []
        for name, person in (("Core", "Alice"), ("Fresh", "Dora"), ("Hostile", "Mallory"), ("Works", "Bob")):
            team = make_team(name, time_zone="Europe/Berlin" if name == "Core" else "UTC")
            make_user(person, team=team, role="admin", password=PASSWORD)
            accounts.append(Account(f"{person.lower()}@example.org", make_key(team)[1], team.slug))
        site = Site(server.url, *accounts)
        try:
            fill(site)
            site.places |= alerts_of.fill(site.core.team)
            site.places |= budgets_of.fill(site.core.team)
            site.places |= gateway_of.fill(site.core.team)
            site.places |= steering_of.fill(site.core.team)
            site.places |= compare_of.fill(site)
            site.places |= agents_of.fill(site.core.team)
            site.places |= rollbacks_of.fill(site.core.team)
            yield site
        finally:
            empty_database()


@pytest.fixture(scope="session")
def browser(site: Site) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.path(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in_as(site: Site, browser: Browser) -> Callable[[Account], BrowserContext]:
    """A new context in which that person is signed in; each signs in once, by the form."""
    known: dict[str, object] = {}

    def context(account: Account, **options: object) -> BrowserContext:
        if account.mail not in known:
            with browser.new_context() as first:
                page = first.new_page()
                page.goto(f"{site.url}/login?next=/settings/account")
                page.get_by_label("Mail address").fill(account.mail)
                page.get_by_label("Password").fill(PASSWORD)
                page.get_by_role("button", name="Sign in").click()
                page.wait_for_url("**/settings/account")
                known[account.mail] = first.storage_state()
        return browser.new_context(storage_state=known[account.mail], **options)  # type: ignore[arg-type]

    return context


@pytest.fixture
def watched(site: Site) -> Iterator[Watched]:
    """Fails the test on any complaint it did not expect."""
    watched = Watched(site.url)
    yield watched
    assert watched.unexpected == []


@pytest.fixture
def page(
    site: Site, signed_in_as: Callable[..., BrowserContext], watched: Watched, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """Alice of Core. ``@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True)`` sets options."""
    options = {"viewport": {"width": 1400, "height": 900}, "permissions": ["clipboard-read", "clipboard-write"]}
    with signed_in_as(site.core, **{**options, **getattr(request, "param", {})}) as context:
        page = context.new_page()
        watched.watch(page)
        yield page
