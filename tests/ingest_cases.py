"""Which tests hold each of the fifty cases of what a sender may do; ``python -m tests.ingest_cases`` writes the page.

A test names its cases in its docstring, its name or its parameters' ids: I12.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ingest-cases.md"
CASES = (
    "protobuf or JSON, packed or plain: one route, one stored span",
    "an empty request is a success",
    "a chunked body is stored whole, never answered 200 with loss",
    "no path of ingest ever redirects",
    "content types: a missing or odd one is 415, case and charset=utf-8 do not matter",
    "codings: a wrong, cut or doubled one is 400 or 415",
    "a gibibyte in a megabyte is 413, also in several members",
    "millions of empty spans in a few kilobytes are refused undecoded",
    "millions of JSON values likewise",
    "JSON nested without end is 400 and never stored",
    "attribute values nested without end are 400",
    "numbers no column can hold are cleaned, or refuse their span",
    "NaN and Infinity: null with a note in attributes, a refused span in figures",
    "NUL in any text becomes U+FFFD, the rest stays",
    "half a surrogate pair likewise",
    "bytes that are not UTF-8 are 400 with a message",
    "a negative or fractional figure refuses its span and names the field",
    "times that cannot be true are repaired, noted, and never negative",
    "a clock that is off is corrected, with a note",
    "a batch sent again changes nothing",
    "an id twice in one batch is one span",
    "start, update, end, parent and child in any order give the same rows",
    "a span days late corrects the hour it belongs to",
    "a span sent again with another cost replaces the first, with a trail",
    "writers side by side with overlapping ids show no deadlock",
    "ids that are none are refused one by one",
    "logs or metrics at the traces' door are refused with a hint",
    "unknown fields are passed over, wrong shapes are 400 with their path",
    "too many or too large attributes, events and links are cut and counted",
    "any key and any script is stored and shown as text",
    "one trace id in two teams is two runs",
    "huge, wide and deep runs are read without recursion, and soon",
    "own parents and circles end, marked",
    "the database is away: 503 and come back in seconds",
    "the disk is full: 503, and what was accepted is there",
    "the process holds enough: 503, memory bounded",
    "no answer says to wait longer than five seconds",
    "a web process killed under load loses no acknowledged span",
    "PostgreSQL killed under load likewise",
    "slow heads and bodies are cut and hold nobody up",
    "lengths that lie are 400, nothing is smuggled",
    "a bad, revoked or wrong key is refused before the body is read, for one look-up a minute",
    "over the quota: 429, and what was dropped is counted where the team sees it",
    "secrets are gone before the disk, in any field; ids and counts stay",
    "no text makes redaction slow",
    "duplicate keys, marks, commas and comments in JSON: one rule each",
    "other methods are 405 with Allow",
    "one bad event of five hundred: the others are stored, the bad one is named",
    "event ids sent again are counted once",
    "real exporters lose nothing, our 503s included",
)
_HEAD = """# What senders may do, and the tests that hold it

Fifty cases of reliable ingest. Each row names the tests that carry its number; `python -m tests.ingest_cases` writes this
page anew, and `tests/test_docs.py` fails when it is out of date.

| case | what holds | tests |
|---|---|---|
"""
_NUMBER = re.compile(r"(?<![A-Za-z0-9])I(\d{1,2})(?![A-Za-z0-9])")


def _texts(test: ast.FunctionDef) -> list[str]:
    """Where a test says its cases: name, docstring, decorators."""
    inside = [node for decorator in test.decorator_list for node in ast.walk(decorator)]
    ids = [node.value for node in inside if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [test.name, ast.get_docstring(test) or "", *(text for text in ids if len(text) < 100)]


def tests_by_case() -> dict[int, list[str]]:
    """Case number -> "tests/…/test_x.py::test_y", in the order of files."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            numbers = {int(number) for text in _texts(node) for number in _NUMBER.findall(text.replace("_", " "))}
            for number in numbers:
                found[number].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def page() -> str:
    found = tests_by_case()
    rows = []
    for number, what in enumerate(CASES, start=1):
        by_file: dict[str, list[str]] = defaultdict(list)
        for test in found[number]:
            file, _, name = test.partition("::")
            by_file[file.removeprefix("tests/")].append(f"`{name}`")
        tests = "; ".join(f"{file}: {', '.join(names)}" for file, names in by_file.items())
        rows.append(f"| I{number} | {what} | {tests or 'none yet'} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page())
