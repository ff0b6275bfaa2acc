"""Where a deployment may be. Operators say so, and models run inside the house too: loopback and private networks pass.

What no model runs at is refused, when an address is set and again at each connection: link-local addresses (a cloud's
metadata), those that reach nobody or many, and the ports of databases, brokers and shells (reliability S16).
"""

from __future__ import annotations

import re
import socket
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from tracking.egress_guard import refusal
from tracking.errors import Invalid

ADDRESS_CHARS_MAX = 500
_INSIDE = tuple(
    map(
        ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"),
    )
)
_UNFIT = re.compile(r"[\x00-\x20\x7f-\x9f\\\u2028\u2029]")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_V4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")


class NotReached(OSError):
    """A connection that was about to be made and must not be."""


def why_not(host: object, port: object) -> str:
    """Why a connection to this address must not be made; '' when it may."""
    why = refusal(host, port, _INSIDE)
    return f"No model is called at {host}:{port}." if why else ""


def read_base(url: object, *, field: str) -> str:
    """A deployment's address without the slash at its end. Raises Invalid."""
    if not isinstance(url, str) or _UNFIT.search(url) or len(url) > ADDRESS_CHARS_MAX:
        raise Invalid("Give one address without spaces, such as https://models.example.org/v1.", field=field)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise Invalid("This is no address: check host and port.", field=field) from None
    if parts.scheme not in ("http", "https") or not host:
        raise Invalid("The address begins with https:// or http:// and names a host.", field=field)
    if parts.username is not None or parts.password is not None:
        raise Invalid("Leave name and password out of the address; the key has a field of its own.", field=field)
    if parts.query or parts.fragment:
        raise Invalid("The address ends with a path: leave out what follows ? and #.", field=field)
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not _V4.fullmatch(host):
        raise Invalid("Write the address of the host in full, such as 192.168.0.7.", field=field)
    if ":" in host or _V4.fullmatch(host):
        why = why_not(host, port or (443 if parts.scheme == "https" else 80))
        if why:
            raise Invalid(why, field=field)
    return url.rstrip("/")


def a_socket(found: Any) -> socket.socket:
    """For a connector: the socket to an address that a name was found to have. Raises NotReached."""
    family, kind, protocol, _, address = found
    why = why_not(address[0], address[1])
    if why:
        raise NotReached(why)
    return socket.socket(family, kind, protocol)
