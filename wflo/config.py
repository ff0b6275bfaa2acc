"""Where the library sends what it sees, and how much of it: ``configure()``, else the WFLO_ variables.

Without an endpoint nothing is sent and no thread is started; budgets, checkpoints, circuits and loops of this process
work all the same.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from wflo.rates import Rates

_TRUE, _FALSE = frozenset(("1", "true", "yes", "on")), frozenset(("0", "false", "no", "off", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings. Raises ValueError naming the field that is wrong."""

    endpoint: str = ""  # http://127.0.0.1:8000
    api_key: str = field(default="", repr=False)
    protocol: str = "wflo"  # or otlp: to any OpenTelemetry collector, which then decides nothing about runs
    service: str = "wflo"  # what OTLP calls the sender
    environment: str = ""
    release: str = ""
    is_enabled: bool = True
    capture_content: bool = True  # prompts, answers, arguments, results
    redact: str | Callable[[str], str] = "secrets"  # secrets, secrets_and_personal, off; or JSON text -> JSON text
    content_characters: int = 100_000  # of one text; the rest is cut and said
    queue_items: int = 2_048
    queue_bytes: int = 16 * 2**20
    batch_items: int = 500
    batch_bytes: int = 4 * 2**20
    send_seconds: float = 0.5  # from one batch to the next, at the most
    heartbeat_seconds: float = 5.0  # while a run is open and has nothing to say
    timeout_seconds: float = 10.0
    exit_seconds: float = 1.8  # for what is still queued when the process ends; with the rest of its end two
    spool_folder: str = ""  # what could not be sent is kept here over a restart; "": it is not
    spool_bytes: int = 128 * 2**20
    prices: Mapping[str, Rates] = field(default_factory=dict)  # by model, before every other price

    def __post_init__(self) -> None:
        if self.endpoint and urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise ValueError(f"endpoint: {self.endpoint!r} is no http or https address")
        if isinstance(self.redact, str) and self.redact not in ("secrets", "secrets_and_personal", "off"):
            raise ValueError("redact: secrets, secrets_and_personal, off, or a function of JSON text")
        if self.protocol not in ("wflo", "otlp"):
            raise ValueError("protocol: wflo or otlp")
        for name in ("content_characters", "queue_items", "queue_bytes", "batch_items", "batch_bytes", "spool_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1")
        for name in ("send_seconds", "heartbeat_seconds", "timeout_seconds", "exit_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: not below 0")

    @property
    def is_sending(self) -> bool:
        return self.is_enabled and bool(self.endpoint)


_lock = threading.Lock()
_present: Config | None = None
_told: list[Callable[[Config], None]] = []


def configure(**changes: Any) -> Config:
    """Change settings (the fields of ``Config``) for this process, from now on; others keep what they are.

    ``prices``: by model, ``Rates`` or ``{"input_usd_per_million", "output_usd_per_million"}``. Raises ValueError for an
    unknown setting or a value that means nothing.
    """
    global _present
    known = {one.name for one in fields(Config)}
    for name in changes:
        if name not in known:
            raise ValueError(f"{name}: no such setting. There are {', '.join(sorted(known))}.")
    if "prices" in changes:
        changes["prices"] = {model: _rates(model, value) for model, value in changes["prices"].items()}
    with _lock:
        _present = replace(_present or from_environment(), **changes)
        config = _present
    for tell in list(_told):
        tell(config)
    return config


def current() -> Config:
    """The settings in force; read from the environment at the first call."""
    global _present
    if _present is None:
        with _lock:
            _present = _present or from_environment()
    return _present


def on_change(tell: Callable[[Config], None]) -> None:
    """Have ``tell`` called with every later configuration."""
    _told.append(tell)


def from_environment(environ: Mapping[str, str] | None = None) -> Config:
    """WFLO_ENDPOINT, WFLO_API_KEY, WFLO_PROTOCOL, WFLO_ENVIRONMENT, WFLO_RELEASE, WFLO_ENABLED, WFLO_CAPTURE_CONTENT, WFLO_REDACT,
    WFLO_SPOOL_FOLDER. Raises ValueError naming the variable that is wrong."""
    given = os.environ if environ is None else environ
    return Config(
        endpoint=given.get("WFLO_ENDPOINT", "").rstrip("/"),
        api_key=given.get("WFLO_API_KEY", ""),
        protocol=given.get("WFLO_PROTOCOL", "wflo"),
        environment=given.get("WFLO_ENVIRONMENT", ""),
        release=given.get("WFLO_RELEASE", ""),
        is_enabled=_truth(given, "WFLO_ENABLED", default=True),
        capture_content=_truth(given, "WFLO_CAPTURE_CONTENT", default=True),
        redact=given.get("WFLO_REDACT", "secrets"),
        spool_folder=given.get("WFLO_SPOOL_FOLDER", ""),
    )


def _truth(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    if name not in given:
        return default
    word = given[name].strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{name}: {given[name]!r} is neither true nor false")


def _rates(model: str, value: Any) -> Rates:
    if isinstance(value, Rates):
        return value
    try:
        million = Decimal(10**6)
        return Rates(
            input=Decimal(str(value["input_usd_per_million"])) / million,
            output=Decimal(str(value["output_usd_per_million"])) / million,
        )
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError(f"prices: {model}: Rates, or input_usd_per_million and output_usd_per_million") from error
