"""What agents do where nobody says otherwise: from ``WFLO_…`` variables, a ``.env`` file, or these defaults.

``settings`` is one object for the life of the process; ``reload_settings`` changes it in place, so whoever imported it sees
the change. Plain, without pydantic: whoever imports the library would wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "WFLO_"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# Read without the prefix too: the names the whole field uses.
_COMMON = {
    "openai_api_key": "OPENAI_API_KEY",
    "anthropic_api_key": "ANTHROPIC_API_KEY",
    "xai_api_key": "XAI_API_KEY",
    "otel_exporter_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
}
_PROVIDERS = {"openai": "openai_api_key", "anthropic": "anthropic_api_key", "xai": "xai_api_key"}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _level(value: Any) -> str:
    name = _text(value).upper()
    if name not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return name


def _whole(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and value.strip().lstrip("-").isdigit() else value
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"must be a whole number of at least {least}")
        return number

    return read


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < float("inf"):
        raise ValueError("must be a number of seconds of at least 0")
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in (*_TRUE, *_FALSE):
        return str(value).lower() in _TRUE
    raise ValueError("must be true or false")


def _of(default: Any, read: Callable[[Any], Any], *, is_secret: bool = False) -> Any:
    return field(default=default, metadata={"read": read}, repr=not is_secret)


@dataclass(kw_only=True, init=False)
class Settings:
    """Each field is the variable of its name in capitals, after ``WFLO_``. What cannot be is refused, naming it.

    ``Settings()`` reads the environment, then a ``.env`` file, then the defaults; what is given comes before all of them.
    """

    default_model: str = _of("openai:gpt-4o-mini", _text)
    default_system_prompt: str = _of("You are a helpful assistant.", _text)
    max_tool_iterations: int = _of(10, _whole(1))

    retry_max_attempts: int = _of(3, _whole(1))
    retry_min_wait: float = _of(2.0, _seconds)
    retry_max_wait: float = _of(30.0, _seconds)
    retry_multiplier: float = _of(1.0, _seconds)

    log_level: str = _of("INFO", _level)
    log_file_level: str = _of("DEBUG", _level)
    log_dir: str = _of("logs", _text)
    log_file_name: str = _of("wflo.log", _text)
    log_json_format: bool = _of(False, _flag)
    log_max_bytes: int = _of(10_485_760, _whole(0))
    log_backup_count: int = _of(5, _whole(0))

    openai_api_key: str | None = _of(None, _text_or_none, is_secret=True)
    anthropic_api_key: str | None = _of(None, _text_or_none, is_secret=True)
    xai_api_key: str | None = _of(None, _text_or_none, is_secret=True)

    enable_tracing: bool = _of(False, _flag)
    otel_exporter_endpoint: str | None = _of(None, _text_or_none)
    mlflow_tracking_uri: str | None = _of(None, _text_or_none)
    mlflow_experiment_name: str = _of("wflo", _text)

    def __init__(self, **given: Any) -> None:
        """Raises ValueError naming the variable, AttributeError for a setting there is not."""
        self._take(given, os.environ, ".env")

    def _take(self, given: Mapping[str, Any], environment: Mapping[str, str], env_file: str | Path | None) -> None:
        found = {name.upper(): value for name, value in {**_of_file(env_file), **environment}.items()}
        for one in fields(self):
            said = found.get(PREFIX + one.name.upper(), "") or found.get(_COMMON.get(one.name, ""), "")
            setattr(self, one.name, given.get(one.name, said or one.default))
        for name in given.keys() - {one.name for one in fields(self)}:
            setattr(self, name, None)

    def __setattr__(self, name: str, value: Any) -> None:
        known = self.__dataclass_fields__.get(name)
        if known is None:
            raise AttributeError(f'There is no setting "{name}".')
        try:
            super().__setattr__(name, known.metadata["read"](value))
        except ValueError as error:
            raise ValueError(f"{PREFIX}{name.upper()} {error}, not {value!r}.") from None

    def api_key_for(self, provider: str) -> str | None:
        """The key set for a provider's calls; None leaves it to the provider's own variable."""
        name = _PROVIDERS.get(provider)
        return getattr(self, name) if name is not None else None


def read_settings(environment: Mapping[str, str] | None = None, *, env_file: str | Path | None = ".env") -> Settings:
    """From the environment, then the file, then the defaults. Raises ValueError naming the variable."""
    made = Settings.__new__(Settings)
    made._take({}, os.environ if environment is None else environment, env_file)
    return made


def _of_file(path: str | Path | None) -> dict[str, str]:
    if path is None or not Path(path).is_file():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path).items() if value is not None}


settings = read_settings()


def reload_settings(*, env_file: str | Path | None = ".env") -> Settings:
    """Read everything anew into ``settings``. Raises ValueError naming the variable; then nothing changed."""
    fresh = read_settings(env_file=env_file)
    for one in fields(Settings):
        setattr(settings, one.name, getattr(fresh, one.name))
    return settings


def get_settings() -> Settings:
    return settings
