"""Static files without a build step: named by their content, kept by browsers for ever, compressed once.

``{% static %}`` gives ``frame.<digest>.css``; ``serve`` finds the file in its package again. WhiteNoise's responder does
conditional and partial requests and chooses the encoding. Compressed copies are kept in ``STATIC_ROOT``.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import mimetypes
import os
import re
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.exceptions import SuspiciousFileOperation
from whitenoise.responders import StaticFile

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_DIGITS = 12
_HASHED = re.compile(rf"(?P<stem>.+)\.(?P<digest>[0-9a-f]{{{_DIGITS}}})(?P<ending>\.[A-Za-z0-9]+)")
_COMPRESSED = frozenset({".css", ".js", ".svg", ".json", ".txt", ".html", ".map"})
_FOR_EVER = "public, max-age=31536000, immutable"
_A_MINUTE = "public, max-age=60"
_PIECE = 256 * 1024
_ASKED = {b"accept-encoding", b"if-none-match", b"if-modified-since", b"range"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file as it is now."""

    path: Path
    digest: str


class ContentNames(StaticFilesStorage):
    """Names files by their content. A name that is not there is an error, at the first page that asks for it."""

    def url(self, name: str | None) -> str:
        asset = find(name or "")
        if asset is None:
            raise ValueError(f"There is no static file {name!r}.")
        stem, ending = os.path.splitext(name or "")
        return super().url(f"{stem}.{asset.digest}{ending}")


_assets: dict[str, Asset] = {}
_responders: dict[tuple[str, bool], StaticFile] = {}
_lock = threading.Lock()


def find(name: str) -> Asset | None:
    """The file of that name in any package. Read once: a running process serves what it started with."""
    known = _assets.get(name)
    if known is not None:
        return known
    try:
        path = finders.find(name)
    except (SuspiciousFileOperation, ValueError):
        return None
    if not isinstance(path, str) or not os.path.isfile(path):
        return None
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:_DIGITS]
    return _assets.setdefault(name, Asset(Path(path), digest))


async def serve(scope: Scope, receive: object, send: Send) -> None:
    """The ASGI door of ``STATIC_URL``."""
    name = scope["path"].removeprefix(settings.STATIC_URL)
    responder = _responder_known(name) or await asyncio.to_thread(_responder, name)
    if responder is None:
        await _answer(send, 404, [("Content-Type", "text/plain; charset=utf-8")], b"There is no such file.\n")
        return
    asked = {
        f"HTTP_{key.decode('ascii').upper().replace('-', '_')}": value.decode("latin-1")
        for key, value in scope["headers"]
        if key in _ASKED
    }
    response = responder.get_response(scope["method"], asked)
    headers = [*response.headers, ("X-Content-Type-Options", "nosniff")]
    if response.file is None:
        await _answer(send, int(response.status), headers, b"")
        return
    with response.file as file:
        await _start(send, int(response.status), headers)
        while piece := await asyncio.to_thread(file.read, _PIECE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _parts(name: str) -> tuple[str, str]:
    """(the name of the file, the digest asked for or nothing)."""
    hashed = _HASHED.fullmatch(name)
    return (hashed["stem"] + hashed["ending"], hashed["digest"]) if hashed else (name, "")


def _responder_known(name: str) -> StaticFile | None:
    plain, digest = _parts(name)
    asset = _assets.get(plain)
    return None if asset is None else _responders.get((plain, asset.digest == digest))


def _responder(name: str) -> StaticFile | None:
    """A digest that is not today's gets today's file, for a minute: a page from before an upgrade asks for it."""
    plain, digest = _parts(name)
    asset = find(plain)
    if asset is None:
        return None
    is_named = asset.digest == digest
    with _lock:
        known = _responders.get((plain, is_named))
        if known is None:
            kind = mimetypes.guess_type(plain)[0] or "application/octet-stream"
            is_text = kind.startswith("text/") or kind.endswith(("javascript", "json", "svg+xml"))
            headers = [
                ("Content-Type", f"{kind}; charset=utf-8" if is_text else kind),
                ("Cache-Control", _FOR_EVER if is_named else _A_MINUTE),
                ("ETag", f'"{asset.digest}"'),
            ]
            known = _responders[plain, is_named] = StaticFile(str(asset.path), headers, _encodings(asset))
        return known


def _encodings(asset: Asset) -> dict[str, str]:
    if asset.path.suffix not in _COMPRESSED:
        return {}
    folder = Path(settings.STATIC_ROOT)
    packed = folder / f"{asset.digest}.gz"
    if not packed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(gzip.compress(asset.path.read_bytes(), 9, mtime=0))
        os.replace(file.name, packed)
    return {"gzip": str(packed)}


async def _start(send: Send, status: int, headers: list[tuple[str, str]]) -> None:
    encoded = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def _answer(send: Send, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    await _start(send, status, [*headers, ("Content-Length", str(len(body)))] if body else headers)
    await send({"type": "http.response.body", "body": body})
