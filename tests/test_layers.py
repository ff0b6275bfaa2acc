"""Imports point one way. Every contract of pyproject.toml is kept, and breaks when its import is planted in a copy."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("wflo", "tracking", "dashboards", "wflo_site")
CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
# The contract, the file that gets one more import, and that import.
PLANTS = [
    ("line", "wflo/spans.py", "import tracking.errors"),
    ("line", "tracking/errors.py", "import dashboards.words"),
    ("line", "dashboards/numbers.py", "import wflo_site.env"),
    ("library", "wflo/usage.py", "import django.utils.timezone"),
    ("rooms", "tracking/models/runs.py", "import tracking.audit"),
    ("rooms", "tracking/usage/query.py", "import tracking.ingest.chunks"),
    ("rooms", "tracking/ingest/chunks.py", "import tracking.reports.usual"),
    ("rooms", "tracking/keys.py", "import tracking.teams"),
    ("rooms", "tracking/alerts/words.py", "import tracking.reports.usual"),
    ("rooms", "tracking/a_new_file.py", "import json"),
    ("ingest", "tracking/ingest/counting.py", "import tracking.ingest.span_row"),
    ("pure", "tracking/ingest/dialects/fields.py", "import django.conf"),
    ("pure", "tracking/ingest/counting.py", "import tracking.pricing"),
    ("pure", "tracking/apprise_child.py", "import django.conf"),
    ("face", "dashboards/views/home.py", "import tracking.sql"),
    ("litellm", "wflo/price_map.py", "import litellm"),
    ("plotly", "dashboards/figures.py", "import plotly.graph_objects"),
    ("opentelemetry", "tracking/ingest/native.py", "import opentelemetry.proto"),
    ("supervisor", "wflo_site/banner.py", "import django"),
]


def _lint(folder: Path, contract: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    return subprocess.run(
        [*command, *(["--contract", contract] if contract else [])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four packages' Python files and the contracts, to be spoilt."""
    folder = tmp_path_factory.mktemp("layers")
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            to = folder / path.relative_to(ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def test_every_contract_is_kept() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_has_a_planted_import() -> None:
    assert {contract for contract, _, _ in PLANTS} == set(CONTRACTS)


@pytest.mark.parametrize(("contract", "file", "line"), PLANTS, ids=[f"{one}-{file}" for one, file, _ in PLANTS])
def test_a_planted_import_breaks_its_contract(copy: Path, contract: str, file: str, line: str) -> None:
    path = copy / file
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        done = _lint(copy, contract)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{CONTRACTS[contract]} BROKEN" in done.stdout
    # What it complains of is what was planted.
    assert file.removesuffix(".py").replace("/", ".").split(".")[-1] in done.stdout.partition("Broken contracts")[2]


# --- what import-linter cannot see: parts of a foreign package, and what is done with what was imported --------------
def _imported(source: str) -> set[str]:
    """Full names: ``from django.db import connection`` is django.db and django.db.connection."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _knows_http(file: str, source: str) -> bool:
    """Whether a file of the core that is no door knows of requests. Keys and auth read who calls; admin is Django's own
    door."""
    is_door = file.endswith(("api.py", "admin.py")) or file in ("tracking/keys.py", "tracking/saas/auth.py")
    return not is_door and any(name.startswith("django.http") for name in _imported(source))


_ROWS = {"objects", "_default_manager", "_base_manager", "refresh_from_db"}


def _asks_tables(source: str) -> list[str]:
    """Where a page asks or changes tables itself: a manager, a cursor. Models as types and choices are no question."""
    found = [name for name in _imported(source) if name.startswith(("django.db.", "django.contrib.auth.models"))]
    return found + [
        f"{node.lineno} .{node.attr}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in _ROWS
    ]


def _sources(package: str) -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / package).rglob("*.py"))}


def test_only_doors_know_of_requests() -> None:
    assert [file for file, source in _sources("tracking").items() if _knows_http(file, source)] == []
    assert _knows_http("tracking/teams.py", "from django.http import HttpRequest")
    assert _knows_http("tracking/teams.py", "from django import http\nimport django.http")


def test_pages_ask_reports_not_tables() -> None:
    assert {file: found for file, source in _sources("dashboards").items() if (found := _asks_tables(source))} == {}
    assert _asks_tables("Team.objects.all()")
    assert _asks_tables("from django.db import connection")
