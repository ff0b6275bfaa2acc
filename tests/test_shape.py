"""Code stays readable: no function over 70 lines, no module over 500, most of both far below."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("wflo", "tracking", "dashboards", "wflo_site")


def _modules() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split() if name.startswith(PACKAGES) and "/migrations/" not in name]


def _functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_function_is_longer_than_a_screen() -> None:
    functions = [function for path in _modules() for function in _functions(path)]
    assert [f"{name}: {lines} lines" for name, lines in functions if lines > 70] == []
    lengths = [lines for _, lines in functions]
    assert median(lengths) <= 10
    assert quantiles(lengths, n=20)[-1] <= 45


def test_no_module_is_a_drawer() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in _modules()}
    assert {name: n for name, n in lengths.items() if n > 500} == {}
    assert quantiles(lengths.values(), n=20)[-1] <= 350


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    names = {path.name for path in _modules()}
    assert names.isdisjoint({"utils.py", "helpers.py", "misc.py", "common_utils.py"})
