"""The process apprise runs in: ``python -m tracking.apprise_child``, told on its input, answering a line for each message.

Apprise speaks to more than a hundred services, through code that is not ours and addresses that teams give. So it has a
process of its own, which takes a second to start, holds no database, and can be ended whatever it waits for. Before
the first message of a team, a hook of the interpreter is set that cannot be taken off: no connection but to
addresses that may be called (tracking.egress_guard), no file but Python's own and the certificates, no other program.

Input: ``{"networks": [...], "trusted": [...], "guarded": [...], "check": "..."}``. A message is ``{"id", "to", "title",
"body", "level"}`` with ``to`` an apprise address, or its parts. Trusted ones go through the operator's own mail server.
"""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any

from tracking.egress_guard import Network, refusal

AT_ONCE = 8
# What these do happens on this machine's own desktop or log.
LOCAL = frozenset({"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
_PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn"})  # fmt: skip
_CHANGES = frozenset({"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.putenv", "sqlite3.connect", "ctypes.dlopen", "socket.bind"})  # fmt: skip
_CALLS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STATUS = re.compile(r"\berror=(\d{3})\b")


class Refused(PermissionError):
    """What the guard says when it stops something."""


class _Reasons(logging.Handler):
    """Why a message did not arrive, by thread. What the other side said in words is not repeated."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._local = threading.local()

    def begin(self) -> None:
        self._local.refused, self._local.status = "", ""

    def refuse(self, why: str) -> Refused:
        self._local.refused = getattr(self._local, "refused", "") or why
        return Refused(why)

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        if found:
            self._local.status = found[1]

    @property
    def refused(self) -> str:
        return str(self._local.refused)

    @property
    def why(self) -> str:
        if self.refused:
            return self.refused
        if self._local.status:
            return f"The service answered {self._local.status}."
        return "The service could not be reached, or did not take it."


def main() -> None:
    sys.dont_write_bytecode = True
    asked = json.load(sys.stdin)
    reasons = _Reasons()
    logger = logging.getLogger("apprise")
    logger.addHandler(reasons)
    logger.propagate = False
    import apprise

    apprise.Apprise.instantiate("json://localhost")  # loads its services, before the guard stands
    _send(apprise, asked.get("trusted", ()), reasons)
    _guard([ip_network(text) for text in asked.get("networks", ())], reasons)
    _send(apprise, asked.get("guarded", ()), reasons)
    if asked.get("check"):
        _say(_checked(apprise, str(asked["check"]), reasons))


def _checked(apprise: Any, address: str, reasons: _Reasons) -> dict[str, str]:
    """Whether apprise knows such an address, and its service's name."""
    reasons.begin()
    scheme = address.partition("://")[0].lower()
    if scheme in LOCAL:
        return {"why": f"{scheme}:// speaks to the desktop of the machine Wflo runs on, not to people."}
    service = apprise.Apprise.instantiate(address, asset=_asset(apprise))
    if service is None:
        unknown = "Apprise knows no such address. Its services and how their addresses look are in its documentation."
        return {"why": reasons.refused or unknown}
    return {"why": "", "service": str(service.service_name)}


def _send(apprise: Any, messages: Sequence[dict[str, Any]], reasons: _Reasons) -> None:
    if messages:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for answer in pool.map(lambda message: _one(apprise, message, reasons), messages):
                _say(answer)


def _one(apprise: Any, message: dict[str, Any], reasons: _Reasons) -> dict[str, str]:
    reasons.begin()
    to = message["to"]
    try:
        service = apprise.Apprise.instantiate(to, asset=_asset(apprise))
        if service is None or str(to).partition("://")[0].lower() in LOCAL:
            return {"id": message["id"], "why": reasons.refused or "Apprise does not know the address. Enter it again."}
        has_arrived = service.notify(
            title=message["title"],
            body=message["body"],
            notify_type=getattr(apprise.NotifyType, message["level"]),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception:  # whatever a service's code does is a delivery that failed, and no more
        has_arrived = False
    return {"id": message["id"], "why": "" if has_arrived else reasons.why}


def _asset(apprise: Any) -> Any:
    return apprise.AppriseAsset(
        app_id="Wflo", app_desc="Wflo alerts", app_url="", async_mode=False, secure_logging=True, storage_mode="memory"
    )


def _guard(networks: Sequence[Network], reasons: _Reasons) -> None:
    readable = tuple(os.path.realpath(path) + os.sep for path in _readable())

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _CALLS:
            address = args[1]
            host, port = address[:2] if isinstance(address, tuple) and len(address) >= 2 else ("", None)
            why = refusal(host, port, networks) if address is not None else ""
            if why:
                raise reasons.refuse(why)
        elif event == "open" and not _may_open(args[0], args[1], readable):
            raise reasons.refuse("The address names a file. Files of this server are not read.")
        elif event in _PROGRAMS or event in _CHANGES:
            raise reasons.refuse("This service works with files or programs of the server, which alerts may not use.")

    sys.addaudithook(hook)


def _readable() -> list[str]:
    certificates = ssl.get_default_verify_paths()
    named = (certificates.cafile, certificates.capath, os.environ.get("SSL_CERT_FILE"))
    return [sys.prefix, sys.base_prefix, "/etc/ssl", "/etc/pki", "/usr/share", "/dev/urandom", *filter(None, named)]


def _may_open(path: Any, mode: Any, readable: tuple[str, ...]) -> bool:
    if isinstance(path, int):
        return True
    if mode is not None and set(str(mode)) & set("wax+"):
        return False
    real = os.path.realpath(os.fsdecode(path))
    return (real + os.sep).startswith(readable)


def _say(answer: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
