"""What a framework's tests are given, in its own environment: a provider to call, its bill, and a running Wflo."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wflo as library
from tests.frameworks import rates
from tests.frameworks.sights import Bill, Wflo


@pytest.fixture(autouse=True)
def _closed_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frameworks tell nobody outside of anything."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionRefusedError(f"{address[0]} is outside")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture
def wflo() -> Iterator[Wflo]:
    """The running Wflo, to which the library sends."""
    found = Wflo(os.environ["FRAMEWORKS_WFLO"], os.environ["FRAMEWORKS_KEY"])
    library.configure(endpoint=found.url, api_key=found.key, prices={model: rates.figures() for model in rates.MODELS})
    yield found
    library.flush(20)


@pytest.fixture
def provider_url(monkeypatch: pytest.MonkeyPatch) -> str:
    """Ends in /v1; OpenAI's and Anthropic's clients find it and a key in the environment too."""
    url = os.environ["FRAMEWORKS_PROVIDER"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-provider")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-provider")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url.removesuffix("/v1"))
    return url


@pytest.fixture
def bill(provider_url: str) -> Bill:
    return Bill(Path(os.environ["FRAMEWORKS_BILL"]))
