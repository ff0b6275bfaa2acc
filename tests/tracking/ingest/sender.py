"""A sender for tests of the doors: a team, its keys, and a client of a running server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pytest_django.plugin import DjangoDbBlocker

from tests.make import empty_database, make_key, make_team
from tests.server import Server
from tracking.models import Team

LIMITS = httpx.Limits(
    keepalive_expiry=1
)  # the server closes what is idle for two seconds, maybe just as it is used again


@dataclass(slots=True)
class Sender:
    """A team's program with a key of scope ingest."""

    server: Server
    client: httpx.Client
    team: Team
    key: str
    reader: str  # a key of the same team that may not send

    def post(self, path: str = "/v1/traces", body: Any = b"", **headers: str) -> httpx.Response:
        """Header names are written with _ for -; ``content_type`` is protobuf unless said otherwise."""
        given = {"authorization": f"Bearer {self.key}", "content_type": "application/x-protobuf", **headers}
        named = {name.replace("_", "-"): value for name, value in given.items() if value}
        return self.client.post(path, content=body, headers=named)


@contextmanager
def a_sender(server: Server, blocker: DjangoDbBlocker) -> Iterator[Sender]:
    """Its rows stay for as long as it does; afterwards the database is empty again."""
    with blocker.unblock():
        team = make_team("Senders")
        _, key = make_key(team, scopes=["ingest"])
        _, reader = make_key(team, scopes=["read"])
        try:
            with httpx.Client(base_url=server.url, timeout=30, limits=LIMITS) as client:
                yield Sender(server, client, team, key, reader)
        finally:
            empty_database()
