"""Calls to addresses that teams give: to public hosts only. Of what an alert's destination answers the status alone is handed on;
what tools fetch has a size.

The name is looked up here, each address it has is judged (tracking.egress_guard), and the connection is made to the very
address that was judged. Redirects are not followed. The whole exchange has one deadline, kept by a clock of its own:
a peer that sends a byte now and then is cut off with the rest.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from tracking.egress_guard import refusal
from tracking.errors import Invalid, WfloServerError

_UNFIT = re.compile(r"[\x00-\x20\x7f-\x9f\\\u2028\u2029]")
_PORTS = {"http": 80, "https": 443}


class CallFailed(WfloServerError):
    """The other side could not be reached, or did not take it."""

    code = "call_failed"
    status = 502


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart: scheme http or https, host in ASCII, path with query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


def read_target(url: str, *, field: str = "address") -> Target:
    """Raises Invalid for what is no plain http(s) address, or names an address that may not be called."""
    if _UNFIT.search(url) or len(url) > settings.LIMITS["address_characters"]:
        raise Invalid("Give one address without spaces, such as https://example.org/hooks/wflo.", field=field)
    try:
        parts = urlsplit(url)
        port, host = parts.port, _ascii_host(parts.hostname or "")
    except ValueError:
        raise Invalid("This is no address: check host and port.", field=field) from None
    if parts.scheme not in _PORTS:
        raise Invalid("The address begins with https:// or http://.", field=field)
    if parts.username is not None or parts.password is not None:
        raise Invalid("Leave name and password out of the address; requests are signed instead.", field=field)
    if not host:
        raise Invalid("The address names no host.", field=field)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = Target(parts.scheme, host, port or _PORTS[parts.scheme], path)
    _judge_literal(target, field)
    return target


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` by their names in small letters; ``is_cut``: the body went on, and was not read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


def post(target: Target, body: bytes, headers: Mapping[str, str]) -> int:
    """Send ``body`` and answer with the status. Raises CallFailed with a sentence that repeats nothing of the answer."""
    seconds, most = settings.LIMITS["egress_seconds"], settings.LIMITS["egress_answer_bytes"]
    return exchange(target, "POST", body, headers, seconds=seconds, bytes_max=most).status


def exchange(
    target: Target,
    method: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    seconds: int,
    bytes_max: int,
    enough: Callable[[bytes], bool] | None = None,
) -> Answer:
    """One request and its answer, of which at most ``bytes_max`` are read, and no more once ``enough`` says so of what came.

    Raises CallFailed with a sentence that repeats nothing of the answer.
    """
    connection = _Connection(target, time.monotonic() + seconds)
    clock = threading.Timer(seconds, connection.cut)
    clock.daemon = True
    clock.start()
    try:
        connection.request(method, target.path, body, {**headers, "Host": _host_header(target), "Connection": "close"})
        answer = connection.getresponse()
        if connection.was_cut:  # what was cut off looks like an answer that ended
            raise TimeoutError
        told = {name.lower(): value for name, value in answer.getheaders()}
        got, is_cut = _read(answer, bytes_max, enough)
        if connection.was_cut and not (enough is not None and enough(got)):
            raise TimeoutError
        return Answer(answer.status, told, got, is_cut)
    except CallFailed:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CallFailed(_why(error, connection.was_cut, target, seconds)) from None
    finally:
        clock.cancel()
        connection.close()


def _read(answer: http.client.HTTPResponse, most: int, enough: Callable[[bytes], bool] | None) -> tuple[bytes, bool]:
    got = b""
    while len(got) <= most:
        piece = answer.read1(most + 1 - len(got))
        got += piece
        if not piece and answer.length:
            raise http.client.IncompleteRead(got, answer.length)
        if not piece or (enough is not None and enough(got)):
            return got, False
    return got[:most], True


class _Connection(http.client.HTTPConnection):
    def __init__(self, target: Target, deadline: float) -> None:
        super().__init__(target.host, target.port)
        self.was_cut = False
        self._target, self._deadline = target, deadline

    def connect(self) -> None:
        self.sock = _connected(self._target, self._deadline)
        if self._target.scheme == "https":
            context, name = ssl.create_default_context(), self._target.host
            secured = context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
            self.sock = secured
            secured.do_handshake()

    def cut(self) -> None:
        """Ends a call that takes too long, whatever it waits for."""
        self.was_cut = True
        sock: Any = self.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def _connected(target: Target, deadline: float) -> socket.socket:
    """A connection to the first address that may be called and answers. Raises CallFailed, OSError."""
    refused, failed = "", None
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found[: settings.LIMITS["egress_addresses"]]:
        why = refusal(address[0], target.port, settings.WFLO_ALLOW_PRIVATE_EGRESS)
        if why:
            refused = refused or why
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(left)
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
            continue
        return sock
    raise failed or CallFailed(refused or f"{target.host} has no address.")


def _ascii_host(host: str) -> str:
    """Names in other scripts as DNS has them, without the dot at the end. Raises ValueError."""
    host = host.rstrip(".")
    if not host.isascii():
        host = host.encode("idna").decode()
    if ":" not in host and not re.fullmatch(r"[A-Za-z0-9_.-]{0,253}", host):
        raise ValueError(host)
    return host.lower()


def _judge_literal(target: Target, field: str) -> None:
    """Of a host that is an address itself, what a connection would find is known already."""
    try:
        ip_address(target.host)
    except ValueError:
        return
    why = refusal(target.host, target.port, settings.WFLO_ALLOW_PRIVATE_EGRESS)
    if why:
        raise Invalid(why, field=field)


def _host_header(target: Target) -> str:
    return target.origin.partition("://")[2]


def _why(error: Exception, was_cut: bool, target: Target, seconds: int) -> str:
    if was_cut or isinstance(error, TimeoutError):
        return f"{target.host} did not answer within {seconds} s."
    if isinstance(error, socket.gaierror):
        return f"There is no host {target.host}."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {target.host} is not good."
    if isinstance(error, ssl.SSLError):
        return f"{target.host} does not speak TLS on port {target.port}."
    if isinstance(error, ConnectionRefusedError):
        return f"{target.host} refuses connections on port {target.port}."
    if isinstance(error, http.client.RemoteDisconnected):
        return f"{target.host} closed the connection without an answer."
    if isinstance(error, OSError):
        return f"The connection to {target.host} failed."
    return f"{target.host} did not answer as a web server does."
