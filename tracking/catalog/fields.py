"""Values of the catalogue's fields, read with the error that names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tracking.errors import Invalid
from wflo.model_names import normalise

NAME_CHARS_MAX, MODEL_CHARS_MAX, DESCRIPTION_CHARS_MAX = 120, 200, 2_000
KEY_CHARS_MAX = 4_000
KEY_END_CHARS = 4
_KEY_CHARS_SHOWN_OF = 12  # of a shorter key the end would tell too much


def refuse_unknown(given: Iterable[str], known: Iterable[str], *, what: str, place: str = "") -> None:
    for name in given:
        if name not in known:
            raise Invalid(f'{what} has no field "{name}".', field=f"{place}{name}")


def name_of(value: object, *, field: str = "name", most: int = NAME_CHARS_MAX) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if not name or len(name) > most or not name.isprintable():
        raise Invalid(f"Give a name in one line, of at most {most} characters.", field=field)
    return name


def words_of(value: object, *, field: str, most: int, is_one_line: bool) -> str:
    text = "" if value is None else value
    if not isinstance(text, str) or len(text) > most or "\0" in text or (is_one_line and not text.isprintable()):
        line = " in one line" if is_one_line else ""
        raise Invalid(f"Give a text{line} of at most {most:,} characters.", field=field)
    return text.strip()


def model_of(value: object, *, field: str = "model") -> str:
    """A model with its provider: "gpt-4o" is "openai/gpt-4o"."""
    full = normalise(name_of(value, field=field, most=MODEL_CHARS_MAX))
    provider, _, name = full.partition("/")
    if not provider or not name:
        raise Invalid(f'Name the provider too, such as "openai/{provider or name}".', field=field)
    return full


def number_of(value: object, *, field: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"Give a whole number from {least:,} to {most:,}.", field=field)
    return value


def truth_of(value: object, *, field: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid("Say true or false.", field=field)
    return value


def provider_of(value: object, *, field: str = "provider") -> str:
    name = name_of(value, field=field, most=60).lower()
    if "/" in name or " " in name:
        raise Invalid('A provider is one word, as before the "/" of a model.', field=field)
    return name


def secret_of(value: object, *, field: str = "api_key") -> str:
    key = value.strip() if isinstance(value, str) else ""
    if not key or len(key) > KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise Invalid(f"A provider's key is printable ASCII of at most {KEY_CHARS_MAX:,} characters.", field=field)
    return key


def end_of(key: str) -> str:
    """All of a key that is ever shown."""
    return key[-KEY_END_CHARS:] if len(key) >= _KEY_CHARS_SHOWN_OF else ""


def mapping_of(value: object, *, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid("Give an object.", field=field)
    return value
