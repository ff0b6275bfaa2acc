from __future__ import annotations

import itertools
import os
import re

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from dashboards.sign_in import is_local, sign_in_link
from tests.make import PASSWORD, make_user
from tracking.models import Team, User

# Rate limits outlive a test run, in Redis: each run has addresses and names of its own.
_numbers = itertools.count(int.from_bytes(os.urandom(3)) << 6)


def _browser() -> Client:
    """From an address of its own: rate limits go by it."""
    number = next(_numbers)
    return Client(REMOTE_ADDR=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


@pytest.fixture
def dana(team: Team) -> User:
    return make_user(f"dana{next(_numbers)}", team=team, password=PASSWORD)


def _sign_in(client: Client, user: User | str, password: str = PASSWORD, **extra: str):  # type: ignore[no-untyped-def]
    email = user if isinstance(user, str) else user.email
    return client.post("/login", {"login": email, "password": password, **extra})


def test_a_person_signs_in_by_mail_address_and_out_again(dana: User) -> None:
    browser = _browser()
    assert _sign_in(browser, f"  {dana.email.upper()} ").headers["Location"] == "/"
    assert browser.get("/settings/account").status_code == 200
    assert browser.get("/logout").status_code == 405
    session = browser.cookies["sessionid"].value
    assert browser.post("/logout").headers["Location"] == "/login"
    browser.cookies["sessionid"] = session  # the cookie of before opens nothing
    assert browser.get("/settings/account").status_code == 302


def test_signing_in_gives_a_new_session(dana: User) -> None:
    browser = _browser()
    browser.cookies["sessionid"] = "planted-by-someone-else-0000000"
    _sign_in(browser, dana)
    assert browser.cookies["sessionid"].value != "planted-by-someone-else-0000000"


def test_session_cookies_are_kept_from_scripts_and_other_sites(dana: User) -> None:
    browser = _browser()
    _sign_in(browser, dana)
    cookie = browser.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_behind_https_cookies_are_secure(settings: Settings) -> None:
    assert settings.WFLO_PUBLIC_URL.startswith("https://") == settings.SESSION_COOKIE_SECURE
    assert settings.CSRF_COOKIE_SECURE == settings.SESSION_COOKIE_SECURE


def test_a_wrong_password_and_an_unknown_address_look_the_same(dana: User) -> None:
    pages = [
        _sign_in(_browser(), dana, "wrong"),
        _sign_in(_browser(), f"nobody{next(_numbers)}@example.org", "wrong"),
    ]
    texts = {
        re.sub(r"[0-9A-Za-z]{32,}|[0-9a-f]{12}|(dana|nobody)[0-9]+@example.org", "", page.content.decode())
        for page in pages
    }
    assert len(texts) == 1
    assert "No account has this address and password." in texts.pop()


def test_an_account_without_a_password_lets_nobody_in(team: Team) -> None:
    dana = make_user(f"dana{next(_numbers)}", team=team)
    for password in ("", "!", PASSWORD):
        assert _sign_in(_browser(), dana, password).status_code == 200


def test_guessing_is_stopped_even_for_the_right_password(dana: User) -> None:
    for _ in range(5):
        assert "No account has" in _sign_in(_browser(), dana, "wrong").content.decode()
    page = _sign_in(_browser(), dana)  # from yet another address
    assert page.status_code == 200
    assert "Too many attempts failed" in page.content.decode()


def test_one_address_cannot_try_many_accounts(db: None) -> None:
    browser = _browser()
    pages = [_sign_in(browser, f"someone{next(_numbers)}@example.org", "wrong").content.decode() for _ in range(11)]
    assert "Too many attempts failed" not in pages[9]
    assert "Too many attempts failed" in pages[10]


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("/runs?status=failed", True),
        ("/", True),
        ("", False),
        (None, False),
        ("runs", False),
        ("//evil.example", False),
        ("///evil.example", False),
        ("/\\evil.example", False),
        ("\\\\evil.example", False),
        ("https://evil.example/", False),
        ("http://testserver/runs", False),
        ("javascript:alert(1)", False),
        ("/\t/evil.example", False),
        (" //evil.example", False),
        ("data:text/html,x", False),
    ],
)
def test_next_leads_to_our_own_paths_only(address: str | None, local: bool) -> None:
    assert is_local(address) is local


@pytest.mark.parametrize(
    "address", ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)"]
)
def test_a_foreign_next_is_forgotten(dana: User, address: str) -> None:
    assert _sign_in(_browser(), dana, next=address).headers["Location"] == "/"


def test_next_is_kept_through_the_form(dana: User) -> None:
    browser = _browser()
    assert (
        'name="next" value="/runs?status=failed"' in browser.get("/login?next=/runs%3Fstatus%3Dfailed").content.decode()
    )
    assert _sign_in(browser, dana, next="/runs?status=failed").headers["Location"] == "/runs?status=failed"


def test_signing_in_needs_a_csrf_token(dana: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert _sign_in(browser, dana).status_code == 403
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/login").content.decode())
    assert token is not None
    assert _sign_in(browser, dana, csrfmiddlewaretoken=token[1]).status_code == 302


def test_nobody_signs_up_and_no_mail_is_sent(db: None) -> None:
    for path in ("/accounts/signup/", "/signup", "/account/signup", "/accounts/password/reset/"):
        assert _browser().get(path).status_code == 404
    assert mail.outbox == []


def test_a_sign_in_link_is_of_the_public_address_whatever_the_host_header_says(dana: User, settings: Settings) -> None:
    settings.WFLO_PUBLIC_URL = "https://wflo.example.org"
    assert sign_in_link(dana).startswith("https://wflo.example.org/account/password/")


@pytest.mark.parametrize("change", ["tail", "person"])
def test_a_forged_link_opens_nothing(dana: User, change: str) -> None:
    path = "/" + sign_in_link(dana).split("/", 3)[3]
    forged = path[:-1] + ("a" if path[-1] != "a" else "b")
    if change == "person":
        other = make_user("Other")
        forged = re.sub(
            r"/password/[^-]+-", f"/password/{sign_in_link(other).split('/password/')[1].split('-')[0]}-", path
        )
    page = _browser().get(forged, follow=True)
    assert "This link no longer works" in page.content.decode()


def test_a_disabled_account_is_told_so_only_with_its_password(dana: User) -> None:
    User.objects.filter(pk=dana.pk).update(is_active=False)
    right = _browser()
    page = right.post("/login", {"login": dana.email, "password": PASSWORD}, follow=True)
    assert "This account is disabled" in page.content.decode()
    assert "No account has" in _sign_in(_browser(), dana, "wrong").content.decode()
    assert right.get("/settings/account").status_code == 302


def test_without_an_issuer_there_is_no_button(db: None) -> None:
    assert "Sign in with" not in _browser().get("/login").content.decode()


def test_the_operators_tables_use_the_same_sign_in(dana: User) -> None:
    page = _browser().get("/admin/", follow=True)
    assert page.redirect_chain[-1][0].startswith("/login?next=")
