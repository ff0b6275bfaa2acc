"""Every address that Django serves. The hot doors are in asgi.py."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from wflo_site.api import api
from wflo_site.health import detailed, health, ready
from wflo_site.saas import api as saas

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # one sign-in page, its limits

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("api/", saas.urls),
    path("health", health),
    path("health/ready", ready),
    path("health/detailed", detailed),
    path("", include("dashboards.urls")),
]

handler400 = "dashboards.views.errors.bad_request"
handler403 = "dashboards.views.errors.forbidden"
handler404 = "dashboards.views.errors.not_found"
handler500 = "dashboards.views.errors.server_error"
