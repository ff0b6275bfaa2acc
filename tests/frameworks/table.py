"""The frameworks: tests/frameworks/<name>.txt is what is installed for one, tests/frameworks/<name>/check_*.py its tests."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / ".frameworks"
NAMES = ("langgraph", "autogen", "crewai", "openai_agents", "pydantic_ai")


def chosen() -> tuple[str, ...]:
    """Those that FRAMEWORKS names, else all. Raises ValueError for one that is not there."""
    names = tuple(os.environ.get("FRAMEWORKS", "").split()) or NAMES
    for name in names:
        if name not in NAMES:
            raise ValueError(f"FRAMEWORKS: {name} is none of {', '.join(NAMES)}.")
    return names


def python(name: str) -> Path:
    return HOME / name / "bin" / "python"


def requirements(name: str) -> Path:
    return ROOT / "tests" / "frameworks" / f"{name}.txt"


def tests(name: str) -> Path:
    return ROOT / "tests" / "frameworks" / name
