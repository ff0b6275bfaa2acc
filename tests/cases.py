"""Which tests hold each case of what senders may do (I), of what may happen to money (B), to the library (K) and to jobs (J); ``python -m tests.cases``
writes the pages.

A test names its cases in its docstring, its name or its parameters' ids: I12, or B1 to B3.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Catalogue:
    """``letter`` and a number name a case, as I12."""

    letter: str
    page: Path
    title: str
    about: str
    cases: tuple[str, ...]


_CALLED = "Each row names the tests that carry its number; `python -m tests.cases` writes this page anew, and\n`tests/test_docs.py` fails when it is out of date."
INGEST = Catalogue(
    "I",
    ROOT / "docs" / "ingest-cases.md",
    "What senders may do, and the tests that hold it",
    "Fifty cases of reliable ingest.",
    (
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
    ),
)
MONEY = Catalogue(
    "B",
    ROOT / "docs" / "money-cases.md",
    "What may happen to money, and the tests that hold it",
    "Forty-eight cases of budgets, the gateway, loops and breakers.",
    (
        "200 at once on money for ten: ten go out, and what is spent and held is never more than there is",
        "the same through several processes",
        "one idempotency key 200 times at once: one call, one entry",
        "the same key with another body is refused",
        "the same key of another team is another",
        "settle, release and expire in any order and twice: the first wins, sums stay",
        "what was held and not spent is free in the same commit",
        "a provider that goes beyond its cap is paid, told, and the team stopped",
        "killed before the call went out: nothing is spent",
        "killed after it went out: entered as an estimate, never free, never stuck",
        "PostgreSQL killed while money is held: the same id again holds once",
        "PostgreSQL away: refused at once, nothing sent, and served again when it is back",
        "Redis away: money is decided the same",
        "Redis emptied in traffic: no budget changes",
        "a client that leaves in mid-stream is billed for what the provider said",
        "one that leaves before the first piece pays for its prompt, and nothing stays held",
        "a stream that breaks off ends in an error the client's library raises, and its cost is kept",
        "no usage told: counted, and marked",
        "usage that cannot be: all that was held is charged, and marked",
        "no cap asked for: one is sent and held",
        "caps that are none are refused and hold nothing",
        "several answers asked for are held for and paid",
        "a prompt in a dearer tier is held for at that tier",
        "cached, reasoning, audio and priority tokens: a hold is never below its bill",
        "a model without a price is refused under money",
        "a model that is free may be called by the broke",
        "a limit lowered in flight: calls under way finish, new ones are refused",
        "a limit raised admits at once",
        "midnights, short and long days, month ends, leap days in the team's zone",
        "a process's clock that is off moves no window",
        "a key revoked or a team stopped in flight: the call settles to its team",
        "a call is charged to the team and key it was held for",
        "key, team and organization in any order: all or none, no deadlock",
        "a million calls below the last digit add up",
        "a drift of the last digit is found and told",
        "a client's library asks once where it is refused, and comes back where it should",
        "a client that gives up and asks again pays for both, or for one with a key",
        "loops: identical, in turns, with ids left out, many at once: stopped at the threshold",
        "honest polling and two sessions with one prompt are never stopped",
        "a provider that fails opens its breaker; one probe over all processes",
        "a provider that hangs or drips is given up at our deadline, and settled",
        "a provider's Retry-After is bounded",
        "slow readers hold nobody up, end in time and are billed",
        "requests too large, too deep or no text are refused before anything is held",
        "no field of a request leads it elsewhere",
        "usage is asked for in streams, and kept back from who did not ask",
        "whatever a library of a provider raises is answered and settled",
        "the makers' own clients read every answer",
    ),
)
LIBRARY = Catalogue(
    "K",
    ROOT / "docs" / "sdk-cases.md",
    "What may happen to the library in its host, and the tests that hold it",
    "Twenty-nine cases of a library that must never harm whoever uses it.",
    (
        "the server refuses connections: the host does what it does, and ends in time",
        "the server takes a connection and never says a word: likewise",
        "its name is not known: likewise",
        "it speaks no TLS where it should: likewise",
        "it fails for ever: given up after some tries, and counted",
        "it is busy: asked again, after as long as it says",
        "the key is wrong: nothing more is sent, one line is logged",
        "it redirects: not followed, for the key would go along",
        "its answer is garbage, or has no end: at most a megabyte is read",
        "any function of our own fails: the host does not notice, one line a minute",
        "values that go round in circles, have no end, or fail when asked: bounded, and nobody's code is run",
        "the queue is full: no call waits; sent and dropped are all there were, and the server is told",
        "many threads: sums are exact",
        "a fork with the lock held: no deadlock, nothing twice, the child sends",
        "killed with a spool: sent once at the next start; without one, what was queued is lost",
        "however a process ends: what is queued is sent within its seconds, without a traceback",
        "an event loop is not held up, and context is kept over tasks, threads and executors",
        "a stream that is left, collected or cancelled is told once, with what it had used",
        "a clock that jumps makes no time negative",
        "a spool that is missing, no folder, broken, shared or full: no harm, the oldest go, counted",
        "configured twice, used after its end, without an address: nothing happens, or it goes on",
        "too much for the server: in halves; one event that is too much is counted",
        "its own requests are no spans",
        "a server that is away for long: memory stays where it is",
        "importing it opens no connection and loads little",
        "the host's exceptions and signatures are its own",
        "a redactor that fails: the field is left out, never sent as it is",
        "a question to a server that is away holds no call up",
        "spawned children, and hosts whose threads cannot start",
    ),
)
JOBS = Catalogue(
    "J",
    ROOT / "docs" / "job-cases.md",
    "What may happen to agent jobs, and the tests that hold it",
    "Thirty-five cases of queued jobs.",
    (
        "asked for in a transaction that is undone: nothing runs",
        "killed between commit and message: it is taken all the same",
        "a message five times: done once",
        "400 jobs, three killed workers: all done, none lost",
        "three killed children of a worker: the same",
        "Redis killed: all done without hands",
        "Redis emptied: all done without hands",
        "a step longer than a message lives: done once",
        "a worker stopped for two leases writes nothing when it goes on",
        "a job that takes its worker along each time: a dead letter after three, and the queue flows",
        "what fails for good is not tried again; what fails for a moment is, with rests, so many times",
        "a worker that dies after the provider's answer: asked again, both charged, marked",
        "one that dies after the commit: not repeated",
        "what is asked is not what was asked: a person looks",
        "rolled back, clicked twice: exactly that state, logged once, what was spent stays",
        "rolled back while it runs: its worker is fenced first",
        "an undo that fails half-way can be taken up again",
        "cancelled while it waits it never starts; while it runs the provider is hung up on and the hold settled",
        "a deploy in load: none lost, none twice",
        "a run that does not end is ended",
        "two that look at a schedule: each moment once",
        "a beat that slept for hours: made up for once",
        "10,000 jobs of a team hold no other up",
        "a cap on what a team has waiting",
        "what is too large, or holds what no text may, is refused",
        "a message's contents are not believed",
        "a checkpoint that is too large is refused, a large one warned of; long runs are paged",
        "keys in an error are struck out",
        "a dead letter retried twice is tried once",
        "workers' clocks that are off change nothing",
        "PostgreSQL restarted again and again: all jobs right",
        "the money is gone: paused, not asked again and again, and on when it is raised",
        "a worker that stands still is started again",
        "the broker away when a job is asked for: it is taken",
        "a hundred jobs in a storm: everything that must be true is true",
    ),
)
CATALOGUES = (INGEST, MONEY, LIBRARY, JOBS)


def _texts(test: ast.FunctionDef) -> list[str]:
    """Where a test says its cases: name, docstring, decorators."""
    inside = [node for decorator in test.decorator_list for node in ast.walk(decorator)]
    ids = [node.value for node in inside if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [test.name, ast.get_docstring(test) or "", *(text for text in ids if len(text) < 100)]


def _numbers(letter: str, text: str) -> set[int]:
    """12 of "I12"; 1, 2 and 3 of "I1 to I3"."""
    one = re.compile(rf"(?<![A-Za-z0-9]){letter}(\d{{1,2}})(?: to {letter}(\d{{1,2}}))?(?![A-Za-z0-9])")
    found: set[int] = set()
    for first, last in one.findall(text.replace("_", " ")):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def tests_by_case(catalogue: Catalogue) -> dict[int, list[str]]:
    """Case number -> "tests/…/test_x.py::test_y", in the order of files."""
    found: dict[int, list[str]] = defaultdict(list)
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "tests").rglob("check_*.py")]
    for path in sorted(files):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            for number in {n for text in _texts(node) for n in _numbers(catalogue.letter, text)}:
                found[number].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def page(catalogue: Catalogue) -> str:
    found = tests_by_case(catalogue)
    rows = []
    for number, what in enumerate(catalogue.cases, start=1):
        by_file: dict[str, list[str]] = defaultdict(list)
        for test in found[number]:
            file, _, name = test.partition("::")
            by_file[file.removeprefix("tests/")].append(f"`{name}`")
        tests = "; ".join(f"{file}: {', '.join(names)}" for file, names in by_file.items())
        rows.append(f"| {catalogue.letter}{number} | {what} | {tests or 'none yet'} |\n")
    head = f"# {catalogue.title}\n\n{catalogue.about} {_CALLED}\n\n| case | what holds | tests |\n|---|---|---|\n"
    return head + "".join(rows)


if __name__ == "__main__":
    for one in CATALOGUES:
        one.page.write_text(page(one))
