"""Messages to people's services, through apprise in a process of its own (tracking.apprise_child)."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from tracking.errors import Invalid, Unavailable

log = logging.getLogger(__name__)

_TOOK_TOO_LONG = "The service did not answer in time."
_HANDED_ON = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class Message:
    """``to``: an apprise address or its parts. ``level``: INFO, WARNING or FAILURE. ``is_trusted``: it goes to the
    operator's own mail server, wherever that is."""

    id: str
    to: str | dict[str, Any]
    title: str
    body: str
    level: str = "WARNING"
    is_trusted: bool = False


def send(messages: Sequence[Message]) -> dict[str, str]:
    """What went wrong with each, by id; '' for those that arrived."""
    if not messages:
        return {}
    asked = {
        "trusted": [asdict(message) for message in messages if message.is_trusted],
        "guarded": [asdict(message) for message in messages if not message.is_trusted],
    }
    answers = {answer["id"]: str(answer["why"]) for answer in _child(asked)}
    return {message.id: answers.get(message.id, _TOOK_TOO_LONG) for message in messages}


def service_of(address: str) -> str:
    """The name of the service that apprise sends to at such an address. Raises Invalid when it knows none."""
    for answer in _child({"check": address}):
        if answer["why"]:
            raise Invalid(str(answer["why"]), field="address")
        return str(answer["service"])
    raise Unavailable("The address could not be looked at in time. Try again.")


def _child(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines it answered until it ended, or was ended. Its input holds secrets: they are on no command line."""
    asked["networks"] = [str(network) for network in settings.WFLO_ALLOW_PRIVATE_EGRESS]
    environ = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    child = subprocess.Popen(
        [sys.executable, "-m", "tracking.apprise_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environ, "PYTHONPATH": str(settings.BASE_DIR), "HOME": os.devnull},
        cwd="/",
        text=True,
    )
    try:
        said, _ = child.communicate(json.dumps(asked), timeout=settings.LIMITS["apprise_seconds"])
    except subprocess.TimeoutExpired:
        child.kill()
        said, _ = child.communicate()
    if child.returncode:
        log.warning("apprise ended with %s after %d answers", child.returncode, said.count("\n"))
    return [json.loads(line) for line in said.splitlines() if line.endswith("}")]
