"""Logging of agents: handlers on the library's own logger alone, and only when asked; the host's logging stays as it is.

The seed configured the root logger when it was imported and made a folder; here nothing happens before ``setup_logging``.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import logging.handlers
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from wflo.agents.settings import settings

F = TypeVar("F", bound=Callable[..., Any])

NAME = "wflo"
SHOWN_CHARS_MAX = 500  # of an argument or a result in a line
_FORMAT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
_EXTRA = ("model", "latency", "tokens", "request_id", "agent")
_COLOURS = {"DEBUG": "\033[36m", "WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[1;31m"}
_MARK = "_wflo_handler"


def get_logger(name: str = "") -> logging.Logger:
    """The library's logger, or one below it."""
    if not name or name == NAME or name.startswith(f"{NAME}."):
        return logging.getLogger(name or NAME)
    return logging.getLogger(f"{NAME}.{name}")


def setup_logging(
    log_level: str | None = None, log_file_level: str | None = None, log_dir: str | Path | None = None, log_file_name: str | None = None,
    log_json_format: bool | None = None, log_max_bytes: int | None = None, log_backup_count: int | None = None,
    force: bool = False, *, console: bool = True,
) -> logging.Logger:  # fmt: skip
    """To the console, and to a file where ``log_dir`` or ``log_file_name`` is given. What is not said is as in the settings.

    Once: a second call changes nothing without ``force``. Raises ValueError for a level there is not, OSError for the file.
    """
    logger = logging.getLogger(NAME)
    own = [handler for handler in logger.handlers if getattr(handler, _MARK, False)]
    if own and not force:
        return logger
    level = _level(log_level or settings.log_level)
    is_json = settings.log_json_format if log_json_format is None else log_json_format
    made: list[logging.Handler] = []
    if console:
        made.append(
            _prepared(logging.StreamHandler(), level, JsonFormatter() if is_json else ColouredFormatter(_FORMAT))
        )
    if log_dir is not None or log_file_name is not None:
        folder = Path(log_dir or settings.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            folder / (log_file_name or settings.log_file_name),
            maxBytes=settings.log_max_bytes if log_max_bytes is None else log_max_bytes,
            backupCount=settings.log_backup_count if log_backup_count is None else log_backup_count,
            encoding="utf-8",
        )
        formatter = JsonFormatter() if is_json else logging.Formatter(_FORMAT)
        made.append(_prepared(handler, _level(log_file_level or settings.log_file_level), formatter))
    for old in own:
        logger.removeHandler(old)
        old.close()
    for new in made:
        logger.addHandler(new)
    logger.setLevel(min((handler.level for handler in made), default=level))
    return logger


def _prepared(handler: logging.Handler, level: int, formatter: logging.Formatter) -> logging.Handler:
    handler.setLevel(level)
    handler.setFormatter(formatter)
    setattr(handler, _MARK, True)
    return handler


def _level(name: str) -> int:
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        raise ValueError(f'"{name}" is no level: DEBUG, INFO, WARNING, ERROR or CRITICAL.')
    return level


class JsonFormatter(logging.Formatter):
    """A line of JSON a record: asctime, name, levelname, message; model, latency, tokens and so on where they were given."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "asctime": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "name": record.name,
            "levelname": record.levelname,
            "message": record.getMessage(),
        }
        said |= {name: getattr(record, name) for name in _EXTRA if getattr(record, name, None) is not None}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str, ensure_ascii=False)


class ColouredFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = _COLOURS.get(record.levelname)
        return f"{colour}{text}\033[0m" if colour else text


# --- around your own code ---------------------------------------------------------------------------------------------


def log_function_call(function: F | None = None, *, log_args: bool = True, log_result: bool = False) -> Any:
    """Tell of each call of a function: how long it took, what it raised. With or without parentheses."""
    if function is None:
        return lambda wrapped: log_function_call(wrapped, log_args=log_args, log_result=log_result)
    if asyncio.iscoroutinefunction(function):
        return log_async_function_call(function, log_args=log_args, log_result=log_result)

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        with _told(function, args, kwargs, log_args) as result:
            value = function(*args, **kwargs)
            if log_result:
                result.append(value)
            return value

    return told


def log_async_function_call(function: F | None = None, *, log_args: bool = True, log_result: bool = False) -> Any:
    """The same of an async function."""
    if function is None:
        return lambda wrapped: log_async_function_call(wrapped, log_args=log_args, log_result=log_result)

    @functools.wraps(function)
    async def told(*args: Any, **kwargs: Any) -> Any:
        with _told(function, args, kwargs, log_args) as result:
            value = await function(*args, **kwargs)
            if log_result:
                result.append(value)
            return value

    return told


@contextmanager
def _told(function: Callable[..., Any], args: Any, kwargs: Any, log_args: bool) -> Iterator[list[Any]]:
    log = get_logger(function.__module__)
    shown = f" with {_short([*args, *(f'{name}={value!r}' for name, value in kwargs.items())])}" if log_args else ""
    log.debug("%s begins%s", function.__qualname__, shown)
    began, result = time.perf_counter(), list[Any]()
    try:
        yield result
    except Exception as error:
        log.error(
            "%s failed after %.3f s: %s: %s",
            function.__qualname__,
            time.perf_counter() - began,
            type(error).__name__,
            error,
        )
        raise
    answered = f", gave {_short(result[0])}" if result else ""
    took_s = time.perf_counter() - began
    log.debug("%s took %.3f s%s", function.__qualname__, took_s, answered, extra={"latency": round(took_s, 6)})


@contextmanager
def log_timing(name: str, logger: logging.Logger | None = None) -> Iterator[None]:
    """How long what is within took."""
    began = time.perf_counter()
    try:
        yield
    finally:
        took_s = time.perf_counter() - began
        (logger or get_logger()).info("%s took %.3f s", name, took_s, extra={"latency": round(took_s, 6)})


@contextmanager
def log_operation(name: str, logger: logging.Logger | None = None, **facts: Any) -> Iterator[None]:
    """That it begins, and that it ended or failed."""
    log, began = logger or get_logger(), time.perf_counter()
    log.info("%s begins%s", name, f" ({_short(facts)})" if facts else "")
    try:
        yield
    except Exception as error:
        log.error("%s failed after %.3f s: %s: %s", name, time.perf_counter() - began, type(error).__name__, error)
        raise
    log.info("%s ended after %.3f s", name, time.perf_counter() - began)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"
