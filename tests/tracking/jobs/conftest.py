"""A customer of the SaaS surface: a team with credits and a virtual key, before the gateway's scripted provider."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.make import make_key, make_team
from tests.tracking.gateway.conftest import Gateway, _running, gateway
from tracking import credits, keys
from tracking.audit import SYSTEM
from tracking.models import CreditAccount, Team

__all__ = ["_running", "gateway"]


@dataclass(slots=True)
class Customer:
    """``call`` goes to /api with the virtual key; ``admin`` with an operator's."""

    gateway: Gateway
    team: Team
    key: str
    admin_key: str

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        return self._send(method, path, body, query, {"authorization": f"Bearer {self.key}"})

    def admin(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        return self._send(method, path, body, query, {"x-admin-key": self.admin_key})

    def _send(self, method: str, path: str, body: Any, query: dict[str, Any], headers: Any) -> httpx.Response:
        return self.gateway.client.request(method, f"/api{path}", json=body, params=query, headers=headers)

    def job(self, **fields: Any) -> str:
        """A new job's id."""
        body = {"team_id": self.team.slug, "job_type": "agent_task", **fields}
        answer = self.call("POST", "/jobs/create", body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    def ask(self, job: str, words: str = "hello there", *, group: str = "echo", **fields: Any) -> httpx.Response:
        body = {"model_group": group, "messages": [{"role": "user", "content": words}], **fields}
        return self.call("POST", f"/jobs/{job}/llm-call", body)

    def complete(self, job: str, status: str = "completed", **fields: Any) -> httpx.Response:
        return self.call("POST", f"/jobs/{job}/complete", {"status": status, **fields})

    @property
    def account(self) -> CreditAccount:
        return CreditAccount.objects.get(team=self.team)


@pytest.fixture
def customer(gateway: Gateway) -> Customer:
    """With 100 credits, one a job."""
    credits.open_account(gateway.team, allocated=100, actor=SYSTEM)
    return with_operator(gateway)


def with_operator(gateway: Gateway) -> Customer:
    house = make_team(f"House {time.monotonic_ns()}")
    _, admin_key = keys.mint(house, name="operator", scopes=keys.ALL_SCOPES, is_operator=True, actor=SYSTEM)
    _, key = make_key(gateway.team, scopes=["jobs"])
    return Customer(gateway, gateway.team, key, admin_key)
