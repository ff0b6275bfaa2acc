"""``wflo agents …``, offline on the demo models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wflo.agents.cli import agents

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = {
    "iterative": ["-i", "a text", "-n", "2", "-c", "2"], "pipeline": ["-i", "a text", "-s", "2"], "debate": ["-t", "a topic", "-r", "1", "--no-judge"],
    "reflection": ["-i", "a text", "-r", "1"], "chain-of-density": ["-i", "a text", "-n", "2"], "socratic": ["-t", "a topic", "-e", "1"],
    "rag": ["-q", "a question"], "round-robin": ["-i", "a text", "-r", "1", "-a", "2"], "consensus": ["-p", "a problem", "-r", "1", "-a", "2"],
    "hierarchical": ["-t", "a task", "-s", "2"], "map-reduce": ["-i", "a long text", "-c", "5"], "react": ["-q", "a question", "-s", "1"],
    "mixture-of-experts": ["-q", "a query"], "constitutional": ["-i", "a text"], "tree-of-thoughts": ["-p", "a problem", "-d", "1", "-b", "2"],
}  # fmt: skip


def ran(*arguments: str, model: str = "demo/agent") -> Result:
    return CliRunner().invoke(agents, ["--model", model, *arguments])


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_workflow_with_its_options(workflow: str) -> None:
    result = ran(f"test-{workflow}-workflow", *WORKFLOWS[workflow])
    assert result.exit_code == 0, result.output
    assert "tokens, cost $0." in result.output
    assert "turns" in result.output


def test_a_completion_a_tool_and_the_tour() -> None:
    assert "tokens, cost $" in ran("test-completion").output
    assert "get_weather" in ran("test-tool-call").output
    tour = ran("demo")
    assert tour.exit_code == 0, tour.output
    assert "name=" in tour.output


def test_a_failure_is_one_sentence() -> None:
    result = ran("test-completion", model="demo/nobody")
    assert (result.exit_code, "There is no model" in result.output, "Traceback" in result.output) == (1, True, False)
    assert ran("test-iterative-workflow", "-c", "9").exit_code == 2


def test_its_tests_run_by_class_and_name() -> None:
    command = [
        sys.executable,
        "-m",
        "wflo.agents.cli",
        "run-tests",
        "--verbose",
        "-c",
        "TestBasicToolCalling",
        "-t",
        "test_single_tool_call",
        "--no-integration",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_tools.py::TestBasicToolCalling::test_single_tool_call PASSED" in done.stdout
    assert "1 passed" in done.stdout


def test_outside_a_checkout_it_says_where_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("examples", "run-tests"):
        result = ran(command)
        assert (result.exit_code, "at the top of a checkout" in result.output) == (1, True)


def test_the_command_itself() -> None:
    code = "import sys; sys.argv = ['wflo', 'agents', '--help']; from wflo.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "test-tree-of-thoughts-workflow" in done.stdout
    code = "import sys; sys.modules['click'] = None; from wflo.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "wflo[agents]"' in done.stderr
