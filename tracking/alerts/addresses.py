"""What a destination's address must be, by kind; how much of it is shown; and what apprise is handed for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from tracking.alerts import apprise_send
from tracking.alerts.phrases import clean
from tracking.egress import read_target
from tracking.errors import Invalid
from tracking.models import Destination

Kind = Destination.Kind

_SLACK = re.compile(r"https://hooks\.slack\.com/services/(T[A-Z0-9]+)/(B[A-Z0-9]+)/([A-Za-z0-9]+)/?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}://\S+", re.IGNORECASE)
_SMTP_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Checked:
    """``address`` is sealed; ``shown`` is for everybody in the team."""

    address: str
    shown: str


def check(kind: str, text: str) -> Checked:
    """Raises Invalid naming the field "address"."""
    text = text.strip()
    if not text or len(text) > settings.LIMITS["address_characters"] or "\0" in text:
        limit = settings.LIMITS["address_characters"]
        raise Invalid(f"Give the address, in at most {limit:,} characters.", field="address")
    return _CHECKS[Kind(kind)](text)


def _email(text: str) -> Checked:
    if not settings.WFLO_SMTP_URL:
        raise Invalid(
            "This installation has no mail server yet: an operator sets WFLO_SMTP_URL. "
            'Until then choose "another service" with a mailto:// address of your own server.',
            field="address",
        )
    people = list(dict.fromkeys(part for part in re.split(r"[\s,;]+", text) if part))
    if len(people) > settings.LIMITS["recipients_per_destination"]:
        raise Invalid(f"Give at most {settings.LIMITS['recipients_per_destination']} mail addresses.", field="address")
    for person in people:
        try:
            validate_email(person)
        except ValidationError:
            raise Invalid(f"{clean(person)} is no mail address.", field="address") from None
    more = f" and {len(people) - 2} more" if len(people) > 2 else ""
    return Checked(", ".join(people), (", ".join(people[:2]) + more)[:200])


def _slack(text: str) -> Checked:
    if not _SLACK.fullmatch(text):
        raise Invalid(
            "Slack gives an incoming webhook an address such as https://hooks.slack.com/services/T…/B…/….",
            field="address",
        )
    return Checked(text, "hooks.slack.com")


def _webhook(text: str) -> Checked:
    return Checked(text, read_target(text).origin[:200])


def _apprise(text: str) -> Checked:
    if not _SCHEME.fullmatch(text):
        raise Invalid("Give one address as apprise has them, such as tgram://… or ntfys://….", field="address")
    service = apprise_send.service_of(text)
    scheme = text.partition("://")[0].lower()
    return Checked(text, f"{clean(service, 150)} ({scheme}://…)")


_CHECKS = {Kind.EMAIL: _email, Kind.SLACK: _slack, Kind.WEBHOOK: _webhook, Kind.APPRISE: _apprise}


def for_apprise(kind: str, address: str) -> str | dict[str, Any]:
    """What apprise makes its service of. Raises Invalid when there is no mail server any more."""
    if kind != Kind.EMAIL:
        return address
    if not settings.WFLO_SMTP_URL:
        raise Invalid("This installation has no mail server: an operator sets WFLO_SMTP_URL.")
    return {**mail_server(settings.WFLO_SMTP_URL), "targets": [person.strip() for person in address.split(",")]}


def mail_server(url: str) -> dict[str, Any]:
    """The operator's mail server in apprise's parts. ``smtp://`` asks for STARTTLS unless ?tls=off, ``smtps://`` is TLS
    from the start. Raises ValueError."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme not in _SMTP_PORTS or not parts.hostname or set(options) - {"from", "tls"}:
        raise ValueError("WFLO_SMTP_URL is like smtp://user:password@mail.example.org:587?from=wflo@example.org")
    mode = "ssl" if parts.scheme == "smtps" else "insecure" if options.get("tls") == "off" else "starttls"
    user = unquote(parts.username or "")
    sender = options.get("from") or (user if "@" in user else f"wflo@{parts.hostname}")
    return {
        "schema": "mailto" if mode == "insecure" else "mailtos",
        "host": parts.hostname,
        "smtp_host": parts.hostname,
        "port": parts.port or _SMTP_PORTS[parts.scheme],
        "secure_mode": mode,
        "from_addr": f"Wflo <{sender}>",
        "format": "text",
        "user": user or None,
        "password": unquote(parts.password) if parts.password else None,
    }
