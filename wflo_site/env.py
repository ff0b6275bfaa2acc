"""Reading WFLO_ variables: loud on nonsense."""

from __future__ import annotations

import os
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def env_int(name: str, default: int, *, low: int = 0, high: int = 2**31) -> int:
    text = env_str(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {text!r}: give a whole number.") from None
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name} is {value}: give a number from {low} to {high}.")
    return value


def env_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    text = env_str(name, default)
    if text not in choices:
        raise ImproperlyConfigured(f"{name} is {text!r}: give one of {', '.join(choices)}.")
    return text


def env_networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part) for part in env_str(name).replace(",", " ").split())
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}. Give networks such as 10.0.0.0/8.") from None


def env_secret(name: str, *, kept: Path | None) -> str:
    """The variable, else the secret in the file ``kept``, made on first use, readable by its owner only.

    None: the variable must be given.
    """
    given = env_str(name)
    if given:
        return given
    if kept is None:
        raise ImproperlyConfigured(f"{name} is not set: in production give it 50 random characters.")
    return _kept_in(kept)


def _kept_in(path: Path) -> str:
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(50)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret)
    except FileExistsError:  # another process of the same start was first
        return path.read_text().strip()
    return secret
