"""How people come in: allauth's rules as Wflo wants them, and links that let a person choose a password.

Nobody signs up. An admin adds people; a new account has no password until its owner follows a sign-in link that the
admin hands over. Single sign-on lets in whoever has an account under a mail address the issuer vouches for.
"""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.utils import user_pk_to_url_str
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.base import AuthProcess
from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from tracking.models import User


def is_local(url: str | None) -> bool:
    """Whether a ``next`` address stays here: a path of our own, whatever host the request claims."""
    return bool(url) and str(url).startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None)


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]
    error_messages: ClassVar[dict[str, str]] = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "No account has this address and password. Check both, or ask an admin of your team for a sign-in link.",
        "too_many_login_attempts": "Too many attempts failed. Try again in five minutes.",
        "enter_current_password": "This is not your present password.",
        "incorrect_password": "This is not your present password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str | None) -> bool:
        return is_local(url)

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Pages say what happened; nothing is kept for a later page."""


class SingleSignOn(DefaultSocialAccountAdapter):  # type: ignore[misc]
    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """The issuer is for signing in; accounts are joined by mail address alone, never by asking for it."""
        if sociallogin.state.get("process") != AuthProcess.LOGIN:
            raise ImmediateHttpResponse(redirect("settings_account"))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False


def sign_in_link(user: User) -> str:
    """An address that lets its holder choose the person's password, once, within PASSWORD_RESET_TIMEOUT.

    It is made from WFLO_PUBLIC_URL, never from the Host header of a request.
    """
    token = app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": user_pk_to_url_str(user), "key": token})
    return f"{settings.WFLO_PUBLIC_URL}{path}"
