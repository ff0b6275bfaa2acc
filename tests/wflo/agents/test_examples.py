"""Every example runs offline, as it stands; and there is one for every workflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples" / "agents").glob("**/*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("WFLO_", "OPENAI_", "ANTHROPIC_"))
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], cwd=tmp_path, env=variables | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == []


def test_there_is_one_for_every_workflow() -> None:
    workflows = {path.stem for path in (ROOT / "wflo" / "agents" / "workflows").glob("*.py")} - {
        "__init__",
        "workflow",
        "reading",
        "patterns",
    }
    assert len(workflows) == 16
    assert {path.stem for path in EXAMPLES if path.parent.name == "workflows"} == workflows
    named = {
        "basic_usage",
        "configuration_example",
        "error_handling_example",
        "workflow_example",
        "logging_example",
        "opentelemetry_tracing",
    }
    assert {path.stem for path in EXAMPLES if path.parent.name == "agents"} == named
