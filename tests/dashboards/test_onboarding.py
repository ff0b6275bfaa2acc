"""Onboarding: the key is shown once, and the snippets are right."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from dashboards.views import onboarding
from tests.make import empty_database, make_key, make_team, signed_in
from tests.server import running_server
from tracking import keys
from tracking.models import ApiKey, Team, User
from tracking.reports import found


def test_a_new_key_is_shown_once_in_every_snippet_and_may_only_send(team: Team, alice: User) -> None:
    client = signed_in(alice)
    answer = client.post("/onboarding/key")
    made = ApiKey.objects.get(team=team)
    text = answer.context["key"]
    assert keys.caller_for(text).team_id == team.pk
    assert made.scopes == ["ingest"]
    assert answer["Cache-Control"] == "no-store"
    assert all(text in snippet.text for snippet in answer.context["snippets"])
    assert text not in client.get("/onboarding").content.decode()


def test_a_member_makes_no_key_and_is_told_who_does(bob: User, alice: User) -> None:
    client = signed_in(bob)
    assert client.post("/onboarding/key").status_code == 403
    page = client.get("/onboarding").content.decode()
    assert "Ask Alice" in page
    assert 'action="/onboarding/key"' not in page


def test_the_line_waits_until_there_is_a_run(team: Team, alice: User) -> None:
    answer = signed_in(alice).get("/onboarding/state", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "Waiting for the first span" in answer.content.decode()
    assert "data-live" in answer.content.decode()


def test_a_home_without_data_leads_here(alice: User) -> None:
    answer = signed_in(alice).get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/onboarding")


@pytest.mark.parametrize("name", ["environment", "python", "curl"])
def test_a_snippet_without_a_key_reads_it_from_the_environment(name: str) -> None:
    texts = {snippet.name: snippet.text for snippet in onboarding.snippets("https://wflo.example.org")}
    assert "WFLO_API_KEY" in texts[name]
    assert "https://wflo.example.org" in texts[name]


def test_each_snippet_sends_a_run_with_its_cost(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> None:
    """As a person does it: pasted, and run. The environment's is tried with a program that has nothing else."""
    program = (
        "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))\n"
        "provider.get_tracer('x').start_span('chat', attributes={'gen_ai.operation.name': 'chat'}).end()\n"
    )
    with django_db_blocker.unblock(), running_server(tmp_path / "server") as server:
        team = make_team("Snippets")
        try:
            _, key = make_key(team, scopes=["ingest"])
            texts = {snippet.name: snippet.text for snippet in onboarding.snippets(server.url, key)}
            (tmp_path / "hello.py").write_text(texts["python"])
            python = shlex.quote(sys.executable)
            for seen, command in enumerate(
                (
                    f"{python} {tmp_path / 'hello.py'}",
                    f"{texts['curl']} --fail --silent",
                    f"{texts['environment']}\n{python} -c {shlex.quote(program)}",
                ),
                start=1,
            ):
                plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
                done = subprocess.run(["sh", "-c", command], env=plain, capture_output=True, text=True, timeout=60)
                assert done.returncode == 0, done.stderr
                assert len(found.find(team, "").runs) == seen, done.stderr
        finally:
            empty_database()
