"""The frameworks: tests/frameworks/<name>.txt is what is installed for one, tests/frameworks/<name>/check_*.py its tests."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / ".frameworks"
NAMES = ("langgraph", "autogen", "crewai", "openai_agents", "pydantic_ai", "openai", "anthropic")
# So that they tell nobody of what the tests do, and fetch nothing.
VARIABLES = {
    "crewai": {
        "CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_DISABLE_VERSION_CHECK": "true", "CREWAI_TRACING_ENABLED": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "true", "OTEL_SDK_DISABLED": "true",
    },
    "openai_agents": {"OPENAI_AGENTS_DISABLE_TRACING": "1"},
}  # fmt: skip


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
