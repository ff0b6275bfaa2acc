"""The operators' tables: what other apps bring and we leave out, as changes there would be in no audit log; and those
that stand in files of their own.
"""

from __future__ import annotations

from importlib import import_module

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin

for module in ("allauth.account.admin", "allauth.socialaccount.admin", "tracking.catalog_admin", "tracking.jobs_admin"):
    import_module(module)
admin.site.unregister([EmailAddress, SocialAccount, SocialApp, SocialToken])
