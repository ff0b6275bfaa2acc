"""What a web process does before its first request: nothing slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each costs seconds or a hundred megabytes, and is wanted by few calls.
SLOW = ["litellm", "openai", "mcp", "tiktoken", "plotly", "apprise", "tokenizers", "boto3", "google.auth"]


def _loaded(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "wflo_site.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_web_starts_without_what_few_calls_need() -> None:
    loaded = _loaded("import wflo_site.asgi, wflo_site.urls")
    assert "tracking.gateway.api" in loaded
    assert [name for name in SLOW if name in loaded] == []
    assert "json" in loaded  # the list is of what was loaded


def test_an_ordinary_carrier_needs_none_of_it_either() -> None:
    loaded = _loaded("import wflo_site.asgi\nfrom tracking.gateway import demo_provider, http_provider")
    assert [name for name in SLOW if name in loaded] == []
