"""What other apps bring to the operators' tables and we leave out: changes there would be in no audit log."""

from __future__ import annotations

from importlib import import_module

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin

for module in ("allauth.account.admin", "allauth.socialaccount.admin"):
    import_module(module)
admin.site.unregister([EmailAddress, SocialAccount, SocialApp, SocialToken])
