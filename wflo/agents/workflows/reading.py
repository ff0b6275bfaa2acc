"""What models say, as numbers, names and verdicts: from JSON where they keep to it, from words where they do not."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(%|/\s*(\d+(?:\.\d+)?)|out\s+of\s+(\d+(?:\.\d+)?))?", re.IGNORECASE)
_LABELLED = re.compile(r"(?:score|rating|quality|confidence)\W{0,5}(?=\d)", re.IGNORECASE)
_WORDS = re.compile(r"\w+")
_YES = re.compile(
    r"\b(yes|agree|agreed|pass|passes|passed|true|ok|good|correct|accurate|supported|verified)\b", re.IGNORECASE
)
_NO = re.compile(
    r"\b(no|not|isn't|aren't|disagree|fail|fails|failed|false|wrong|incorrect|inaccurate|unsupported|violat\w*)\b",
    re.IGNORECASE,
)


def json_of(text: str) -> Any:
    """The first JSON object or list in a text; None where there is none."""
    decoder = json.JSONDecoder()
    for place, character in enumerate(text):
        if character in "{[":
            try:
                return decoder.raw_decode(text, place)[0]
            except ValueError:
                continue
    return None


def score_of(text: str, *, out_of: float = 10) -> float | None:
    """From 0 to 1; None where nothing is told. "7/10", "70 %", "7 out of 10" say their scale; a bare number above 1 is of ``out_of``."""
    found = json_of(text)
    if isinstance(found, dict):
        named = next((found[key] for key in ("score", "rating", "quality", "confidence") if key in found), None)
        if isinstance(named, int | float) and not isinstance(named, bool):
            return _scaled(float(named), out_of)
        text = str(named) if isinstance(named, str) else text
    labelled = _LABELLED.search(text)
    match = _NUMBER.search(text, labelled.end() if labelled else 0)
    if match is None:
        return None
    number = float(match[1])
    if match[2] == "%":
        return _within(number / 100)
    of = match[3] or match[4]
    return _within(number / float(of)) if of and float(of) else _scaled(number, out_of)


def _scaled(number: float, out_of: float) -> float:
    return _within(number if number <= 1 else number / out_of)


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))


def choice_of(text: str, names: Sequence[str], key: str = "vote") -> str | None:
    """The one of ``names`` that is chosen: by a field ``key``, a line "VOTE: name", or as the first that is named. None: none is."""
    found = json_of(text)
    told = str(found[key]) if isinstance(found, dict) and key in found else ""
    if not told:
        line = re.search(rf"^\W*{key}\W+(.+)$", text, re.IGNORECASE | re.MULTILINE)
        told = line[1] if line else ""
    for part in (told, text):
        named = [(match.start(), -len(name), name) for name in names if (match := _naming(name).search(part))]
        if named:
            return min(named)[2]
        if part is told and told and _ABSTAIN.search(told):
            return None
    return None


_ABSTAIN = re.compile(r"\b(abstain\w*|none|nobody)\b", re.IGNORECASE)


def _naming(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def agrees(text: str) -> bool:
    """Whether an answer to a yes-or-no question is a yes; the first word that says either decides."""
    found = json_of(text)
    if isinstance(found, dict):
        for key in ("agree", "agreed", "passed", "pass", "verdict", "answer", "consensus"):
            if key in found:
                return found[key] is True or (isinstance(found[key], str) and agrees(found[key]))
    yes, no = _YES.search(text), _NO.search(text)
    return yes is not None and (no is None or yes.start() < no.start())


def lines_of(text: str, most: int) -> list[str]:
    """Items of a list: of a JSON list, else numbered or dashed lines, else every line that says something."""
    found = json_of(text)
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), None)
    if isinstance(found, list) and found:
        return [_item(one) for one in found][:most]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [
        re.sub(r"^(?:\d+[.):]|[-*•])\s*", "", line) for line in lines if re.match(r"(?:\d+[.):]|[-*•])\s*\S", line)
    ]
    return (marked or lines)[:most]


def _item(one: Any) -> str:
    if isinstance(one, dict):
        return str(
            next(
                (one[key] for key in ("subtask", "task", "thought", "text", "description") if key in one),
                json.dumps(one),
            )
        )
    return str(one)


def distance(before: str, after: str) -> float:
    """How far two texts are apart, 0 (the same words) to 1, by the edits that turn one's words into the other's (difflib)."""
    first, second = _WORDS.findall(before.lower()), _WORDS.findall(after.lower())
    if not first and not second:
        return 0.0
    return 1.0 - SequenceMatcher(None, first, second, autojunk=False).ratio()
