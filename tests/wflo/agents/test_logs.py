"""Logging that leaves the host's alone: nothing before it is asked for, and then the library's logger only."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wflo.agents import get_logger, log_async_function_call, log_function_call, log_operation, log_timing, setup_logging


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    logger = logging.getLogger("wflo")
    before, level = list(logger.handlers), logger.level
    yield
    for handler in [one for one in logger.handlers if one not in before]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)


def test_importing_it_touches_nothing(tmp_path: Path) -> None:
    """Trap 5 of the original: the root logger was taken over, and a folder made."""
    code = "import logging, os; before = list(logging.root.handlers); import wflo.agents; assert logging.root.handlers == before; assert os.listdir('.') == []; assert logging.getLogger('wflo').handlers == []"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_a_file_of_json_lines(tmp_path: Path) -> None:
    root = list(logging.root.handlers)
    setup_logging("ERROR", "DEBUG", tmp_path / "logs", "agents.log", True, 10_000, 2, console=False)
    get_logger("wflo.agents").debug("asked", extra={"model": "m", "latency": 0.5, "tokens": 9})
    try:
        raise ValueError("no")
    except ValueError:
        get_logger("mine").exception("failed")
    first, second = [json.loads(line) for line in (tmp_path / "logs" / "agents.log").read_text().splitlines()]
    assert {name: first[name] for name in ("name", "levelname", "message", "model", "latency", "tokens")} == {
        "name": "wflo.agents", "levelname": "DEBUG", "message": "asked", "model": "m", "latency": 0.5, "tokens": 9,
    }  # fmt: skip
    assert first["asctime"].endswith("+00:00")
    assert (second["name"], "ValueError: no" in second["exception"]) == ("wflo.mine", True)
    assert logging.root.handlers == root


def test_a_file_is_turned_over_when_it_is_full(tmp_path: Path) -> None:
    logger = setup_logging(
        "ERROR", log_dir=tmp_path, log_file_name="a.log", log_max_bytes=200, log_backup_count=2, console=False
    )
    for _ in range(20):
        logger.error("x" * 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]


def test_once_and_anew_where_it_is_forced(tmp_path: Path) -> None:
    logger = setup_logging("WARNING")
    assert setup_logging("DEBUG").handlers == logger.handlers
    assert logger.level == logging.WARNING
    assert len(setup_logging("DEBUG", force=True).handlers) == 1
    assert logger.level == logging.DEBUG
    with pytest.raises(ValueError, match="LOUD"):
        setup_logging("LOUD", force=True)


def test_calls_are_told_with_their_time_and_their_fault(caplog: pytest.LogCaptureFixture) -> None:
    @log_function_call(log_result=True)
    def add(a: int, b: int) -> int:
        return a + b

    @log_async_function_call
    async def fails() -> None:
        raise ValueError("no")

    @log_function_call
    async def later() -> str:
        return "x"

    with caplog.at_level("DEBUG", logger="wflo"):
        assert add(1, b=2) == 3
        assert asyncio.run(later()) == "x"
        with pytest.raises(ValueError, match="no"):
            asyncio.run(fails())
        with log_timing("work"), log_operation("job", size=3):
            pass
        with pytest.raises(ValueError, match="no"), log_operation("job"):
            raise ValueError("no")
    text = caplog.text
    for words in (
        "add begins with [1, 'b=2']",
        "gave 3",
        "fails failed after",
        "ValueError: no",
        "work took",
        "job begins ({'size': 3})",
        "job ended after",
        "job failed after",
    ):
        assert words in text, words
    assert add.__name__ == "add"
