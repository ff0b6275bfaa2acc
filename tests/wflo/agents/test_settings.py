"""Settings from the environment, a file, the defaults; changed in place; each key where it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

import wflo.agents
from wflo.agents import Settings, get_settings, reload_settings, settings
from wflo.agents.settings import read_settings

EVERY = {
    "WFLO_DEFAULT_MODEL": ("default_model", "demo/agent", "demo/agent"),
    "WFLO_DEFAULT_SYSTEM_PROMPT": ("default_system_prompt", "Be brief.", "Be brief."),
    "WFLO_MAX_TOOL_ITERATIONS": ("max_tool_iterations", "4", 4),
    "WFLO_RETRY_MAX_ATTEMPTS": ("retry_max_attempts", "5", 5),
    "WFLO_RETRY_MIN_WAIT": ("retry_min_wait", "0.5", 0.5),
    "WFLO_RETRY_MAX_WAIT": ("retry_max_wait", "9", 9.0),
    "WFLO_RETRY_MULTIPLIER": ("retry_multiplier", "3", 3.0),
    "WFLO_LOG_LEVEL": ("log_level", "debug", "DEBUG"),
    "WFLO_LOG_FILE_LEVEL": ("log_file_level", "ERROR", "ERROR"),
    "WFLO_LOG_DIR": ("log_dir", "/tmp/x", "/tmp/x"),
    "WFLO_LOG_FILE_NAME": ("log_file_name", "a.log", "a.log"),
    "WFLO_LOG_JSON_FORMAT": ("log_json_format", "true", True),
    "WFLO_LOG_MAX_BYTES": ("log_max_bytes", "100", 100),
    "WFLO_LOG_BACKUP_COUNT": ("log_backup_count", "2", 2),
    "WFLO_OPENAI_API_KEY": ("openai_api_key", "sk-1", "sk-1"),
    "WFLO_ANTHROPIC_API_KEY": ("anthropic_api_key", "sk-2", "sk-2"),
    "WFLO_XAI_API_KEY": ("xai_api_key", "sk-3", "sk-3"),
    "OPENAI_API_KEY": ("openai_api_key", "sk-4", "sk-4"),
    "ANTHROPIC_API_KEY": ("anthropic_api_key", "sk-5", "sk-5"),
    "XAI_API_KEY": ("xai_api_key", "sk-6", "sk-6"),
    "WFLO_ENABLE_TRACING": ("enable_tracing", "1", True),
    "WFLO_MLFLOW_TRACKING_URI": ("mlflow_tracking_uri", "http://127.0.0.1:1", "http://127.0.0.1:1"),
    "WFLO_MLFLOW_EXPERIMENT_NAME": ("mlflow_experiment_name", "mine", "mine"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("otel_exporter_endpoint", "http://127.0.0.1:2", "http://127.0.0.1:2"),
    "WFLO_OTEL_EXPORTER_ENDPOINT": ("otel_exporter_endpoint", "http://127.0.0.1:3", "http://127.0.0.1:3"),
}


@pytest.mark.parametrize("variable", EVERY)
def test_every_variable(variable: str) -> None:
    name, text, value = EVERY[variable]
    assert getattr(read_settings({variable: text}, env_file=None), name) == value


def test_the_defaults() -> None:
    found = read_settings({}, env_file=None)
    assert (found.default_model, found.max_tool_iterations, found.retry_max_attempts) == ("openai:gpt-4o-mini", 10, 3)
    assert (found.retry_min_wait, found.retry_max_wait, found.retry_multiplier) == (2, 30, 1)
    assert (found.log_max_bytes, found.log_backup_count, found.enable_tracing) == (10_485_760, 5, False)
    assert "sk-" not in repr(read_settings({"OPENAI_API_KEY": "sk-secret"}, env_file=None))


def test_a_file_is_read_and_the_environment_comes_before_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text('WFLO_DEFAULT_MODEL="demo/echo"\nWFLO_MAX_TOOL_ITERATIONS=3\n')
    found = read_settings({"WFLO_MAX_TOOL_ITERATIONS": "8"}, env_file=file)
    assert (found.default_model, found.max_tool_iterations) == ("demo/echo", 8)
    assert read_settings({}, env_file=tmp_path / "none").default_model == "openai:gpt-4o-mini"


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("WFLO_MAX_TOOL_ITERATIONS", "many", "must be a whole number of at least 1"),
        ("WFLO_MAX_TOOL_ITERATIONS", "0", "must be a whole number of at least 1"),
        ("WFLO_RETRY_MIN_WAIT", "-1", "seconds"),
        ("WFLO_RETRY_MIN_WAIT", "nan", "seconds"),
        ("WFLO_LOG_LEVEL", "LOUD", "DEBUG, INFO"),
        ("WFLO_ENABLE_TRACING", "perhaps", "true or false"),
    ],
)
def test_what_cannot_be_names_the_variable(variable: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"{variable} .*{said}"):
        read_settings({variable: text}, env_file=None)


def test_made_by_hand_it_reads_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("wflo_max_tool_iterations", "7")
    monkeypatch.setenv("WFLO_DEFAULT_MODEL", "demo/echo")
    made = Settings(default_model="demo/agent")
    assert (made.default_model, made.max_tool_iterations) == ("demo/agent", 7)
    with pytest.raises(ValueError, match="WFLO_MAX_TOOL_ITERATIONS"):
        Settings(max_tool_iterations=0)
    with pytest.raises(AttributeError, match="no setting"):
        Settings(tools=1)


def test_reloading_changes_the_one_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 4 of the original: whoever had imported it kept the old one."""
    held = settings
    monkeypatch.setenv("WFLO_DEFAULT_MODEL", "demo/echo")
    try:
        assert reload_settings(env_file=None) is held is get_settings() is wflo.agents.settings
        assert held.default_model == "demo/echo"
        monkeypatch.setenv("WFLO_MAX_TOOL_ITERATIONS", "none")
        with pytest.raises(ValueError, match="WFLO_MAX_TOOL_ITERATIONS"):
            reload_settings(env_file=None)
        assert held.max_tool_iterations == 10
    finally:
        monkeypatch.undo()
        reload_settings(env_file=None)


def test_a_setting_there_is_not_cannot_be_set() -> None:
    with pytest.raises(AttributeError, match="no setting"):
        settings.default_modle = "x"  # type: ignore[attr-defined]


def test_keys_are_handed_to_their_provider() -> None:
    """Trap 2 of the original: they were declared and never used."""
    found = read_settings({"WFLO_XAI_API_KEY": "sk-x"}, env_file=None)
    assert (found.api_key_for("xai"), found.api_key_for("openai"), found.api_key_for("cohere")) == ("sk-x", None, None)
    from wflo.agents import Request
    from wflo.agents.litellm_model import arguments_of

    settings.openai_api_key = "sk-mine"
    try:
        request = Request(model="openai:gpt-4o-mini", messages=[])
        assert arguments_of(request) | {"messages": 0} == {
            "model": "openai/gpt-4o-mini", "messages": 0, "api_key": "sk-mine", "num_retries": 0, "max_retries": 0, "caching": False,
            "no-log": True,
        }  # fmt: skip
        assert arguments_of(Request(model="openai:x", messages=[], options={"api_key": "other"}))["api_key"] == "other"
        assert "api_key" not in arguments_of(Request(model="mistral-large", messages=[]))
    finally:
        reload_settings(env_file=None)
