"""Every address that Django serves. The hot doors are in asgi.py."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # one sign-in page, its limits

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("dashboards.people_urls")),
]
