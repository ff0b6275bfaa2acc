"""Single sign-on against an issuer of OpenID Connect that runs here, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from tests.make import make_user, signed_in
from tracking.models import Team, User
from wflo_site.oidc import oidc_origin, oidc_server


class Issuer(ThreadingHTTPServer):
    """Knows one person. Gives out a code's token only to who has the client's secret and the PKCE verifier."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.person: dict[str, Any] = {}
        self.challenge = ""


class _Answers(BaseHTTPRequestHandler):
    server: Issuer

    def log_message(self, *args: object) -> None:
        """Silent."""

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        url = self.server.url
        if self.path == "/.well-known/openid-configuration":
            self._answer(
                {
                    "issuer": url,
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/token",
                    "userinfo_endpoint": f"{url}/userinfo",
                    "jwks_uri": f"{url}/keys",
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                    "code_challenge_methods_supported": ["S256"],
                }
            )
        elif self.path == "/userinfo" and self.headers["Authorization"] == "Bearer good-token":
            self._answer(self.server.person)
        else:
            self._answer({"error": "invalid_token"}, 401)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        verifier = form.get("code_verifier", [""])[0].encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        good = (
            form["code"] == ["good-code"] and form["client_secret"] == ["s3cret"] and challenge == self.server.challenge
        )
        self._answer(
            {"access_token": "good-token", "token_type": "Bearer"} if good else {"error": "invalid_grant"},
            200 if good else 400,
        )


@pytest.fixture
def issuer(settings: Settings) -> Iterator[Issuer]:
    server = Issuer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    settings.WFLO_OIDC = oidc_server(issuer=server.url, client_id="wflo", client_secret="s3cret", name="Example SSO")
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [settings.WFLO_OIDC]}}
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _through(
    client: Client, issuer: Issuer, person: dict[str, Any], *, code: str = "good-code", query: str = ""
) -> Any:
    """Press the button, be sent to the issuer, come back with its code."""
    issuer.person = person
    sent = client.post(f"/account/oidc/login{query}")
    assert sent.status_code == 302
    asked = parse_qs(urlsplit(sent.headers["Location"]).query)
    assert sent.headers["Location"].startswith(f"{issuer.url}/authorize")
    assert asked["redirect_uri"] == ["http://testserver/account/oidc/callback"]
    issuer.challenge = asked["code_challenge"][0]
    return client.get("/account/oidc/callback", {"code": code, "state": asked["state"][0]})


def test_who_was_added_comes_in_by_the_address_the_issuer_vouches_for(team: Team, issuer: Issuer) -> None:
    make_user("Dana", team=team)
    client = Client()
    assert "Sign in with Example SSO" in client.get("/login").content.decode()
    person = {"sub": "77", "email": "DANA@example.org", "email_verified": True}
    assert _through(client, issuer, person).headers["Location"] == "/"
    assert "dana@example.org" in client.get("/settings/account").content.decode()
    again = Client()  # known by the issuer's number from now on, whatever the address
    assert _through(again, issuer, {**person, "email": "new@example.org"}).headers["Location"] == "/"
    assert "dana@example.org" in again.get("/settings/account").content.decode()


@pytest.mark.parametrize(
    "person",
    [
        {"sub": "1", "email": "unknown@example.org", "email_verified": True},
        {"sub": "2", "email": "dana@example.org", "email_verified": False},
        {"sub": "3", "email": "dana@example.org"},
        {"sub": "4"},
    ],
)
def test_nobody_else_is_let_in_or_given_an_account(team: Team, issuer: Issuer, person: dict[str, Any]) -> None:
    make_user("Dana", team=team)
    client = Client()
    assert "You were not let in" in _through(client, issuer, person).content.decode()
    assert client.get("/settings/account").status_code == 302
    assert User.objects.count() == 1


def test_a_disabled_person_is_not_let_in(team: Team, issuer: Issuer) -> None:
    dana = make_user("Dana", team=team)
    User.objects.filter(pk=dana.pk).update(is_active=False)
    client = Client()
    person = {"sub": "77", "email": "dana@example.org", "email_verified": True}
    assert _through(client, issuer, person).headers["Location"] == "/account/inactive"
    assert client.get("/settings/account").status_code == 302


def test_a_forged_return_is_refused(team: Team, issuer: Issuer) -> None:
    make_user("Dana", team=team)
    person = {"sub": "77", "email": "dana@example.org", "email_verified": True}
    client = Client()
    assert _through(client, issuer, person, code="stolen").status_code == 401
    assert client.get("/account/oidc/callback", {"code": "good-code", "state": "made-up"}).status_code == 401
    assert client.get("/account/oidc/callback", {"error": "access_denied"}).status_code in (302, 401)
    assert client.get("/settings/account").status_code == 302


def test_the_way_back_is_local_only(team: Team, issuer: Issuer) -> None:
    make_user("Dana", team=team)
    person = {"sub": "77", "email": "dana@example.org", "email_verified": True}
    assert _through(Client(), issuer, person, query="?next=/runs").headers["Location"] == "/runs"
    assert _through(Client(), issuer, person, query="?next=//evil.example").headers["Location"] == "/"


def test_an_account_is_not_joined_to_another_identity_on_request(team: Team, issuer: Issuer, bob: User) -> None:
    client = signed_in(bob)
    person = {"sub": "99", "email": "else@example.org", "email_verified": True}
    for process in ("connect", "redirect"):
        answer = _through(client, issuer, person, query=f"?process={process}&next=//evil.example")
        assert answer.headers["Location"] == "/settings/account"
    assert "You were not let in" in _through(Client(), issuer, person).content.decode()


def test_an_address_typed_by_hand_asks_first(db: None, issuer: Issuer) -> None:
    page = Client().get("/account/oidc/login")
    assert page.status_code == 200
    assert "Go on to Example SSO" in page.content.decode()


def test_an_issuer_that_is_away_is_said_so(db: None, issuer: Issuer, settings: Settings) -> None:
    gone = oidc_server(issuer="http://127.0.0.1:9", client_id="wflo", client_secret="s3cret", name="Example SSO")
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [gone]}}
    response = Client().post("/account/oidc/login")
    assert response.status_code == 502
    assert "Example SSO does not answer" in response.content.decode()


def test_half_a_setting_is_refused_and_none_is_none() -> None:
    assert oidc_server(issuer="", client_id="", client_secret="", name="x") is None
    assert oidc_origin(None) == []
    with pytest.raises(ImproperlyConfigured, match="WFLO_OIDC_CLIENT_ID and WFLO_OIDC_CLIENT_SECRET"):
        oidc_server(issuer="https://id.example.org", client_id="", client_secret="", name="x")
    made = oidc_server(issuer="https://id.example.org/realms/a/", client_id="i", client_secret="s", name="x")
    assert oidc_origin(made) == ["https://id.example.org"]
