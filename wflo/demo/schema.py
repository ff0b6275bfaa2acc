"""A value that fits a JSON schema, filled with the words it is given. The same schema and words give the same value."""

from __future__ import annotations

from typing import Any

DEPTH_MAX = 12
ITEMS_MAX = 8

_FORMATS = {
    "date-time": "2026-01-01T12:00:00Z",
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "demo@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
}


def value_of(schema: Any, words: str) -> Any:
    """``words`` stand wherever a text is free. What a schema asks beyond type, range and length is not heeded."""
    return _value(schema, words, schema, 0)


def _value(schema: Any, words: str, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        return words if schema is True else None
    if "$ref" in schema:
        return _value(_referred(schema["$ref"], root), words, root, depth + 1)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(name), list) and schema[name]:
            return _value(_likeliest(schema[name]), words, root, depth + 1)
    return _typed(schema, words, root, depth)


def _typed(schema: dict[str, Any], words: str, root: Any, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties")
        named = properties if isinstance(properties, dict) else {}
        return {name: _value(inner, words, root, depth + 1) for name, inner in named.items()}
    if kind == "array":
        least = schema.get("minItems")
        times = min(least, ITEMS_MAX) if isinstance(least, int) and least > 0 else 1
        return [_value(schema.get("items", True), words, root, depth + 1) for _ in range(times)]
    if kind in ("integer", "number"):
        return _number(schema, kind)
    if kind == "boolean":
        return True
    return None if kind == "null" else _text(schema, words)


def _text(schema: dict[str, Any], words: str) -> str:
    fixed = _FORMATS.get(str(schema.get("format")))
    if fixed is not None:
        return fixed
    least, most = schema.get("minLength"), schema.get("maxLength")
    text = words.ljust(least, ".") if isinstance(least, int) and least < 10_000 else words
    return text[:most] if isinstance(most, int) and most >= 0 else text


def _number(schema: dict[str, Any], kind: str) -> Any:
    least, most = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if isinstance(least, int | float) and least >= 1:
        return least + 1 if "exclusiveMinimum" in schema and "minimum" not in schema else least
    if isinstance(most, int | float) and most < 1:
        return most
    return 1 if kind == "integer" else 1.0


def _likeliest(choices: list[Any]) -> Any:
    return next((one for one in choices if not (isinstance(one, dict) and one.get("type") == "null")), choices[0])


def _referred(reference: Any, root: Any) -> Any:
    """Within the same schema: "#/$defs/Name"."""
    found = root
    for part in str(reference).removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
