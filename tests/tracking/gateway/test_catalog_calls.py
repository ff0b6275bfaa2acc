"""What is changed in the catalogue, as the next call finds it: groups, aliases, credentials, addresses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.make import make_key, make_team
from tests.tracking.gateway.conftest import Gateway
from tracking import keys, sealed
from tracking.audit import SYSTEM
from tracking.models import Deployment, ModelGroup, ProviderCredential


@pytest.fixture
def operator(gateway: Gateway) -> Iterator[httpx.Client]:
    _, key = keys.mint(gateway.team, name="op", scopes=["admin", "read"], is_operator=True, actor=SYSTEM)
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{gateway.server.url}/api/v1", headers=headers, timeout=30) as client:
        yield client


def done(response: httpx.Response) -> Any:
    assert response.is_success, response.text
    return response.json() if response.content else None


def served(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    return {"model": "openai/echo", "api_base": gateway.provider.url, "api_key": "sk-by-the-api-0001", **fields}


def last_head(gateway: Gateway) -> str:
    head: str = gateway.provider.requests[-1]["head"].lower()
    return head


def test_a_group_made_by_an_operators_key_is_called_at_once(gateway: Gateway, operator: httpx.Client) -> None:
    done(operator.post("/model-groups", json={"name": "made", "deployments": [served(gateway)]}))
    assert gateway.chat("one two", model="made").json()["choices"][0]["message"]["content"] == "one two"
    assert "authorization: bearer sk-by-the-api-0001" in last_head(gateway)
    again = {"deployments": [served(gateway, model="openai/echo-long", api_key="sk-another-0002")]}
    done(operator.patch("/model-groups/made", json=again))
    answer = gateway.chat("one two", model="made", max_tokens=5)
    assert answer.headers["x-wflo-model"] == "openai/echo-long"
    assert "sk-another-0002" in last_head(gateway)
    done(operator.patch("/model-groups/made", json={"is_active": False}))
    assert gateway.chat(model="made").status_code == 404
    done(operator.delete("/model-groups/made"))
    assert gateway.chat(model="made").json()["error"]["code"] == "model_not_found"


def test_a_deployment_switched_off_is_not_called(gateway: Gateway, operator: httpx.Client) -> None:
    group = {"name": "pair", "deployments": [served(gateway), served(gateway, model="openai/echo-long", priority=1)]}
    first, second = done(operator.post("/model-groups", json=group))["deployments"]
    change = {"deployments": [{"id": first["id"], "is_active": False}, {"id": second["id"]}]}
    done(operator.patch("/model-groups/pair", json=change))
    assert gateway.chat(model="pair", max_tokens=3).headers["x-wflo-model"] == "openai/echo-long"


def test_an_alias_is_called_by_its_name_and_recorded_as_asked(gateway: Gateway, operator: httpx.Client) -> None:
    done(operator.put("/model-aliases", json={"name": "quick", "target": "echo"}))
    answer = gateway.chat("one two", model="quick")
    assert (answer.status_code, answer.headers["x-wflo-model"]) == (200, "openai/echo")
    done(operator.put("/model-aliases", json={"name": "quick", "target": "demo/echo"}))
    assert gateway.chat("one two", model="quick").headers["x-wflo-model"] == "demo/echo"
    listed = gateway.client.get("/v1/models", headers={"authorization": f"Bearer {gateway.key}"}).json()["data"]
    assert "quick" in {model["id"] for model in listed}
    done(operator.delete("/model-aliases/quick"))
    assert gateway.chat(model="quick").status_code == 404


def test_a_key_for_some_models_may_use_an_alias_of_them_and_no_other(gateway: Gateway, operator: httpx.Client) -> None:
    for name, target in (("quick", "echo"), ("long", "echo-long")):
        done(operator.put("/model-aliases", json={"name": name, "target": target}))
    _, gateway.key = make_key(gateway.team, allowed_models=["echo", "demo/echo"])
    answers = {model: gateway.chat(model=model) for model in ("quick", "long", "echo-long", "demo/echo", "nowhere")}
    assert {model: answer.status_code for model, answer in answers.items()} == {
        "quick": 200, "long": 403, "echo-long": 403, "demo/echo": 200, "nowhere": 403,
    }  # fmt: skip
    listed = gateway.client.get("/v1/models", headers={"authorization": f"Bearer {gateway.key}"}).json()["data"]
    assert {model["id"] for model in listed} == {"echo", "quick"}


def test_a_group_of_the_installations_is_called_by_the_teams_it_was_granted(
    gateway: Gateway, operator: httpx.Client
) -> None:
    name = f"shared {gateway.team.pk}"
    done(operator.post("/model-groups", json={"name": name, "deployments": [served(gateway)], "teams": []}))
    assert gateway.chat(model=name).status_code == 404
    done(operator.patch(f"/model-groups/{name}", json={"teams": [gateway.team.slug]}))
    assert gateway.chat(model=name).status_code == 200
    done(operator.delete(f"/model-groups/{name}"))


def test_a_providers_key_goes_to_the_providers_address_alone(gateway: Gateway, operator: httpx.Client) -> None:
    """B45: the credential's own address, and no deployment's of another."""
    given = {"provider": "acme", "api_base": gateway.provider.url, "api_key": "sk-credential-0003"}
    made = done(operator.post("/provider-credentials", json=given))
    done(operator.post("/model-groups", json={"name": "acme", "deployments": [{"model": "acme/echo"}]}))
    assert gateway.chat(model="acme").status_code == 200
    assert "sk-credential-0003" in last_head(gateway)
    assert gateway.chat(model="acme/echo").status_code == 200  # and by the model's own name
    elsewhere = gateway.provider.url.replace("127.0.0.1", "localhost")
    done(operator.patch("/model-groups/acme", json={"deployments": [{"model": "acme/echo", "api_base": elsewhere}]}))
    assert gateway.chat(model="acme").status_code == 200
    assert "sk-credential-0003" not in last_head(gateway)
    done(operator.patch(f"/provider-credentials/{made['id']}", json={"is_active": False}))
    assert gateway.chat(model="acme/echo").status_code == 404
    done(operator.delete(f"/provider-credentials/{made['id']}"))


def test_another_organizations_key_is_not_used(gateway: Gateway) -> None:
    other = make_team(f"Elsewhere {os.urandom(4).hex()}").organization
    ProviderCredential.objects.create(
        provider="zeta", organization=other, api_base=gateway.provider.url, sealed_key=sealed.seal("sk-theirs-0004")
    )
    assert gateway.chat(model="zeta/echo").status_code == 404
    assert gateway.provider.requests == []


def test_a_deployment_whose_key_cannot_be_read_is_passed_over(gateway: Gateway, operator: httpx.Client) -> None:
    group = {"name": "old", "deployments": [served(gateway), served(gateway, model="openai/echo-long", priority=1)]}
    done(operator.post("/model-groups", json=group))
    first = Deployment.objects.filter(group__name="old", group__team=gateway.team, priority=0)
    first.update(sealed_key=b"\x01damaged")
    answer = gateway.chat(model="old", max_tokens=3)
    assert (answer.status_code, answer.headers["x-wflo-model"]) == (200, "openai/echo-long")


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "0x0"])  # all of them this machine, where something would answer
def test_an_address_that_no_model_has_is_refused_at_the_connection_too(gateway: Gateway, host: str) -> None:
    """S16: as a name would be that begins to point there after it was set."""
    group = ModelGroup.objects.create(team=gateway.team, name="inside")
    Deployment.objects.create(group=group, model="openai/echo", api_base=f"http://{host}:{gateway.provider.port}/v1")
    answer = gateway.chat(model="inside")
    assert answer.status_code == 502
    assert "could not be reached" in answer.json()["error"]["message"]
    assert gateway.provider.requests == []
