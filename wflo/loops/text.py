"""What is left of a text when two of them are compared: hashes, sets of words, and texts without what means nothing.

Nothing here keeps a text. Hashes are BLAKE2b with 64 bits in hex; a set of words is a bottom-k sketch (Cohen and Kaplan,
"Summarizing data using bottom-k sketches", 2007) of 32-bit hashes, exact for texts of up to WORDS_KEPT different words.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

TEXT_READ_MAX = 4_000  # characters that are masked and split into words; what lies between its ends counts as it is
WORDS_KEPT = 128
_ARGUMENTS_MAX = 50  # the longest, that are looked for in an error
_ARGUMENT_LENGTH_MIN = 3  # shorter ones are parts of other words
JSON_READ_MAX = 32_000  # characters of JSON that are read; longer ones are text
_TOO_DEEP = "nested too deep to be compared"
DEPTH_MAX = 40  # of arguments; deeper ones count as they are printed

Sketch = tuple[int, ...]  # ascending, at most WORDS_KEPT


# Patterns that begin with a set of characters are looked for several times faster than those that begin otherwise.
_MARK = r"[.,;:!?\"'`´’‘“”…()\[\]{}]"
# Not between digits: 1.5 is not 15. No signs of arithmetic or of names: C++ is not C, a/b is not ab.
_PUNCTUATION = re.compile(rf"{_MARK}(?:(?<!\d{_MARK}){_MARK}*|{_MARK}*(?!\d))")
_DATE = r"(?:\d{4}-\d\d-\d\d|\d\d?/\d\d?/\d{4})"
_CLOCK = r"\d\d?:\d\d(?::\d\d)?(?:\.\d+)?"
_MOMENT = rf"(?:{_DATE}(?:[t ,]{{1,2}}{_CLOCK})?|{_CLOCK})(?:\s?(?:z|utc|[ap]m|[+-]\d\d:?\d\d))?"
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
# Told to be of no meaning by the word before them.
_NONCES = re.compile(
    r"\b(?:"
    rf"(?:request|trace|correlation)[ _-]?id\W{{1,4}}(?=[\w-]*\d)[\w-]{{8,}}"
    r"|(?:nonce|salt|idempotency[ _-]?key|cache[ _-]?bust(?:er)?)\W{1,4}[\w-]+"
    rf"|(?:timestamp|(?:current |local )?(?:date and )?time(?: now)?|now)(?: is)?\W{{1,4}}(?:{_MOMENT}|\d{{10}}(?:\d{{3}})?\b)"
    r"|(?:attempt|retry|try)(?: (?:number|no))?\W{1,3}\d+(?:\s?(?:of|/)\s?\d+)?"
    r")"
)
# One of these stands in whatever the pattern above finds; some labels count only before a digit.
_NONCE_SIGNS = ("nonce", "salt", "idempotency", "cache")
_NONCE_SIGNS_OF_DIGITS = ("time", "now", "try", "attempt", "request", "trace", "correlation")
_DIGIT = re.compile(r"\d")
# What coding agents put beside the words of a turn: time, open tabs, tokens used.
_ASIDES = (("<environment_details>", "</environment_details>"), ("<system-reminder>", "</system-reminder>"))
_MIXED = r"\b(?=[a-z]*+\d)(?=\d*+[a-z])[0-9a-z]{8,}+\b"
_IDS = re.compile(rf"{_UUID}|{_MIXED}")
_MIXED_SIGN = re.compile(r"[0-9](?:[a-z]|(?<=[a-z][0-9]))")  # stands in every mixed string
_UUID_HYPHENS = 4
_TIMES = re.compile(
    rf"\b{_DATE}[t ]{_CLOCK}(?:\s?(?:z|utc|[+-]\d\d:?\d\d))?|\b\d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\b(?:in|took|after|elapsed)\W{1,3}\d+(?:\.\d+)?\s?(?:ms|s|secs?|seconds)\b"
)
_NUMBERS = re.compile(r"\d\d*(?:[.,]\d+)*")
_WORDS = re.compile(r"[^\W_][^\W_]*(?:[-'][^\W_]+)*")

_NONCE_KEYS = frozenset(
    (
        *("nonce", "salt", "request_id", "trace_id", "correlation_id", "idempotency_key", "call_id", "tool_call_id"),
        *("cache_buster", "cachebuster", "cache_bust", "now", "current_time"),
        *("attempt", "retry", "retries", "retry_count"),
    )
)
# Words a model adds for people; a command's description is one, a ticket's is not.
_REMARK_KEYS = frozenset(("explanation", "reason", "rationale", "justification"))
_THOUGHT_KEYS = frozenset(("thought", "thinking", "reasoning"))  # unless the tool is there to think
_COMMAND_KEYS = frozenset(("command", "cmd"))
_TIME_KEYS = frozenset(
    (
        *("timestamp", "ts", "time", "server_time", "uptime", "uptime_s"),
        *("elapsed", "elapsed_ms", "elapsed_s", "duration", "duration_ms", "duration_s"),
        *("took", "took_ms", "latency", "latency_ms"),
    )
)


def digest(*parts: str) -> str:
    """16 hex digits of the parts; where one part ends makes a difference."""
    told = "".join([f"{len(part)}:{part}" for part in parts])
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def exact(text: str) -> str:
    return text.strip().lower()


def plain(text: str) -> str:
    """Lower case, one space between words, no punctuation; a text of nothing else keeps it."""
    low = text.lower()
    return _spaced(_PUNCTUATION.sub(" ", low)) or exact(low)


def cut(text: str) -> str:
    """The two ends of a long text, with a hash of what lies between."""
    if len(text) <= TEXT_READ_MAX:
        return text
    half = TEXT_READ_MAX // 2
    return f"{text[:half]} {digest(text[half:-half])} {text[-half:]}"


def without_asides(text: str) -> str:
    for begin, end in _ASIDES:
        if begin in text:
            head, *rest = text.split(begin)
            text = head + "".join(part.partition(end)[2] for part in rest)
    return text


def nonceless(text: str) -> str:
    """Without the values that their label calls meaningless: a request's id, a nonce, the time now, an attempt's number.

    Other numbers and ids stay: they are what tells one page or one order from the next.
    """
    low = text.lower()
    return _NONCES.sub(" ", low) if _may_have_nonces(low) else low


def _may_have_nonces(low: str) -> bool:
    if any(map(low.__contains__, _NONCE_SIGNS)):
        return True
    return any(map(low.__contains__, _NONCE_SIGNS_OF_DIGITS)) and _DIGIT.search(low) is not None


def idless(text: str) -> str:
    """Without UUIDs and mixed strings of letters and digits; plain numbers stay."""
    low = text.lower()
    if _MIXED_SIGN.search(low) is None and low.count("-") < _UUID_HYPHENS:
        return low
    return _IDS.sub("#", low)


def numberless(text: str) -> str:
    return _NUMBERS.sub("#", idless(text))


def words(text: str) -> list[str]:
    """Lower-case words and numbers, as they come."""
    low = text.lower()
    return low.split() if low.replace(" ", "").isalnum() else _WORDS.findall(low)


def sketch(found: Iterable[str]) -> Sketch:
    hashed = {zlib.crc32(word.encode("utf-8", "surrogatepass")) * 0x9E3779B1 & 0xFFFFFFFF for word in set(found)}
    return tuple(sorted(hashed)[:WORDS_KEPT])


def packed(words: Sketch) -> str:
    """As it is stored: half the length it has as numbers in JSON, and one value to read where those are a hundred."""
    return b2a_base64(struct.pack(f"<{len(words)}I", *words), newline=False).decode() if words else ""


def unpacked(stored: str | list[int]) -> Sketch:
    """What ``packed`` gave, or the numbers that memories of version 1 hold. Raises ValueError for anything else."""
    if not stored:
        return ()
    if isinstance(stored, list):
        return tuple(stored)
    found = a2b_base64(stored)
    if len(found) % 4:
        raise ValueError("no set of words")
    return struct.unpack(f"<{len(found) // 4}I", found)


def similarity(one: Sketch, other: Sketch) -> float:
    """Jaccard's index of the two sets of words, 0 to 1; estimated where a set was larger than WORDS_KEPT."""
    if not one or not other:
        return 0.0
    mine, theirs = set(one), set(other)
    together = mine | theirs
    if len(one) == WORDS_KEPT or len(other) == WORDS_KEPT:
        together = set(sorted(together)[:WORDS_KEPT])
    return len(mine & theirs & together) / len(together)


def meant_arguments(value: Any) -> Any:
    """Arguments without nonces and remarks, with single spaces; a text that is JSON is read first. Never raises."""
    value = read_json(value)
    ignored = _NONCE_KEYS | _REMARK_KEYS
    if isinstance(value, dict) and not _COMMAND_KEYS.isdisjoint(value):
        ignored |= {"description"}
    return _without(value, ignored | _THOUGHT_KEYS, 0) or _without(value, ignored - _NONCE_KEYS, 0)


def canonical(arguments: Any) -> str:
    """Arguments as one lower-case text, whatever the order of their names."""
    return (arguments if isinstance(arguments, str) else dumped(arguments)).lower()


def argument_words(arguments: Any) -> list[str]:
    """The words of all texts among arguments, without the arguments' names."""
    return words(cut(" ".join(_leaves(arguments))))


def result_text(value: Any) -> str:
    """A tool's answer as text without the times in it, unless it is nothing but times: then they are the answer."""
    value = read_json(value)
    if isinstance(value, dict | list):
        kept = _without(value, _NONCE_KEYS | _TIME_KEYS, 0)
        return plain(_TIMES.sub(" ", cut(dumped(kept if kept or not value else value)).lower()))
    text = cut("" if value is None else str(value)).lower()
    return plain(_TIMES.sub(" ", text)) or plain(text)


def error_text(value: Any, arguments: Any) -> str:
    """A failure as text, without numbers, ids and the very arguments that the tool was called with."""
    text = cut(value if isinstance(value, str) else dumped(value)).lower()
    for argument in sorted(_leaves(arguments), key=len, reverse=True)[:_ARGUMENTS_MAX]:
        if len(argument) >= _ARGUMENT_LENGTH_MIN:
            text = text.replace(argument.lower(), " ")
    return plain(numberless(_TIMES.sub(" ", text)))


def read_json(value: Any) -> Any:
    """What a JSON text says, else the value itself. Never raises."""
    if not isinstance(value, str) or len(value) > JSON_READ_MAX or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _spaced(text: str) -> str:
    return " ".join(text.split())


def dumped(value: Any) -> str:
    """The value as JSON with sorted keys, else as Python prints it. Never raises."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "), default=str)
    except (ValueError, TypeError):
        return str(value)
    except RecursionError:
        return _TOO_DEEP


def _without(value: Any, keys: frozenset[str], depth: int) -> Any:
    if depth > DEPTH_MAX:
        return value
    if isinstance(value, Mapping):
        return {
            key: _without(inner, keys, depth + 1)
            for key, inner in value.items()
            if str(key).lower().replace("-", "_") not in keys
        }
    if isinstance(value, list):
        return [_without(inner, keys, depth + 1) for inner in value]
    return _spaced(value) if isinstance(value, str) else value


def _leaves(value: Any, depth: int = 0) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and depth <= DEPTH_MAX:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner, depth + 1)
