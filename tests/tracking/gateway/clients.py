"""Runs the scripts of tests/clients, each in a process of its own, against a gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.tracking.gateway.conftest import Gateway

SCRIPTS = Path(__file__).parent.parent.parent / "clients"
SECONDS = 120


def told(gateway: Gateway, script: str, *names: str, program: str = sys.executable) -> dict[str, Any]:
    """What the scenarios of a script saw; all of them where none is named."""
    command = [program, str(SCRIPTS / script), gateway.server.url, gateway.key, *names]
    left_out = ("PROXY", "API_KEY", "BASE_URL", "API_BASE")  # of whoever runs the tests
    environment = {name: value for name, value in os.environ.items() if not name.upper().endswith(left_out)}
    environment |= {"LANGSMITH_TRACING": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
