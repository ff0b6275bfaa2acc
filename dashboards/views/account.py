"""A person's own doors: sign in, sign out, choose a password, name and password."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account.forms import ChangePasswordForm
from allauth.account.internal.flows.password_change import finalize_password_change
from allauth.account.views import AccountInactiveView, LoginView, PasswordResetFromKeyView
from allauth.decorators import rate_limit
from allauth.socialaccount.providers.openid_connect.views import login as oidc_login
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from requests import RequestException

from dashboards.access import actor, person
from dashboards.forms import NameForm
from tracking import audit, teams
from tracking.errors import Invalid

log = logging.getLogger(__name__)


class SignIn(LoginView):  # type: ignore[misc]
    template_name = "dashboards/account/sign_in.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return {**super().get_context_data(**more), "single_sign_on": settings.WFLO_OIDC}


sign_in = SignIn.as_view()
choose_password = login_not_required(
    PasswordResetFromKeyView.as_view(template_name="dashboards/account/choose_password.html")
)
inactive = AccountInactiveView.as_view(template_name="dashboards/account/inactive.html")


@login_not_required
@require_GET
def password_chosen(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboards/account/password_chosen.html")


@login_not_required
@require_GET
def not_let_in(request: HttpRequest) -> HttpResponse:
    """The issuer knows this person, and nobody here has added them; or the issuer said no."""
    return render(request, "dashboards/account/not_let_in.html", {"single_sign_on": settings.WFLO_OIDC}, status=403)


@login_not_required
@require_http_methods(["GET", "POST"])
def to_issuer(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Off to single sign-on; a page that says so when the issuer does not answer."""
    try:
        response: HttpResponse = oidc_login(request, provider_id)
    except RequestException as error:
        log.warning("single sign-on does not answer: %s", error)
        return render(
            request, "dashboards/account/issuer_away.html", {"single_sign_on": settings.WFLO_OIDC}, status=502
        )
    return response


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect(settings.LOGIN_URL)


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    return _account(request)


@require_POST
def change_name(request: HttpRequest) -> HttpResponse:
    form = NameForm.of(request)
    if not form.is_valid():
        return _account(request, name_form=form)
    try:
        teams.change_name(person(request), form.cleaned_data["name"], actor=actor(request))
    except Invalid as error:
        form.refuse(error)
        return _account(request, name_form=form)
    return redirect("settings_account")


@sensitive_post_parameters("oldpassword", "password1", "password2")
@rate_limit(action="change_password")  # type: ignore[untyped-decorator]
@require_POST
def change_password(request: HttpRequest) -> HttpResponse:
    """Ends the person's other sessions; this one goes on."""
    user = person(request)
    form = ChangePasswordForm(user=user, data=request.POST)
    if not user.has_usable_password() or not form.is_valid():
        return _account(request, password_form=form)
    form.save()
    finalize_password_change(request, user)
    audit.record(actor(request), None, "person.change_password", "person", user.pk)
    return redirect("/settings/account?changed=password")


def _account(
    request: HttpRequest, *, name_form: NameForm | None = None, password_form: ChangePasswordForm | None = None
) -> HttpResponse:
    user = person(request)
    context = {
        "page": "account",
        "name_form": name_form or NameForm(initial={"name": user.name}),
        "password_form": password_form or ChangePasswordForm(user=user),
        "has_password": user.has_usable_password(),
        "changed": request.GET.get("changed") == "password",
    }
    return render(
        request, "dashboards/settings_account.html", context, status=400 if name_form or password_form else 200
    )
