"""What a tool's answer amounts to, by its words and by the tool's name: something, nothing, a failure, or "not yet".

An agent that waits gets the same answer many times and is no loop; these words and names are how it is told.
"""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import islice
from typing import Any

from wflo.loops.text import TEXT_READ_MAX, dumped, read_json, words

SHORT_WORDS_MAX = 40  # a longer answer that says "pending" somewhere does not say "wait"
_FAILURE_READ_MAX = 300
_SHORT_LENGTH_MAX = 20 * SHORT_WORDS_MAX


class Outcome(StrEnum):
    """What a tool's answer amounts to."""

    OK = "ok"
    FAILED = "failed"
    EMPTY = "empty"  # nothing was found
    WAITING = "waiting"  # not yet: ask again later


_FAILURE = re.compile(
    r"^\W*(?:tool |command |api |http |internal |unexpected |runtime |mcp |an? )*"
    r"(?:error|exception|traceback|failed|failure|fatal|invalid|unauthori[sz]ed|forbidden|timeout|timed out|panic"
    r"|(?:permission|access) denied|[45]\d\d (?:\w+ )*error|http/?[\d.]* [45]\d\d|\w*(?:error|exception)\b:)"
)
_NOTHING = re.compile(
    r"^\W*(?:(?:sorry )?(?:there (?:are|were|is) )?(?:no|0|zero) (?:\w+ )?(?:results?|match(?:es)?|data|records?|documents?"
    r"|items?|entries|rows?|hits?|files?)\b|nothing (?:was )?found|none|null|nil|n/a|not found)"
)
_NOTHING_WORDS_MAX = 15
_BUSY = (
    r"(?:running|in progress|processing|working|waiting|loading|starting|started|building|provisioning|initiali[sz]ing"
    r"|scheduled|rendering|uploading|downloading|training|deploying|generating|preparing|unchanged|pending|queued)"
)
_NOT_YET = re.compile(
    r"\b(?:pending|queued|in[ _-]?queue|in[ _-]progress|not (?:yet )?(?:ready|finished|complete|done|available|started)"
    r"|yet|still|heartbeat|unfinished|incomplete|retry[ _-]?after|try again (?:later|soon|in|after)|(?:please )?wait"
    r"|no (?:new|changes?|updates?|repl(?:y|ies)|answers?)|nothing new"
    r"|(?:has|have)(?: not|n't)|progressbar|spinner"
    rf"|(?:is|are|now|currently|status|state)\W{{1,3}}(?:being )?{_BUSY})\b"
    r"|^\W*[a-z]{2,}ing\b|\b[a-z]{2,}ing\s?(?:\.\.\.|…)|^(?:\w+\W+){1,2}[a-z]{3,}ing\W*$"  # Waiting for it; creating...
)
_PART = re.compile(  # 60% ready; 3 of 250
    r"\b(\d{1,6})(?:\.\d+)?\s?(?:%(?=\W*(?:$|done|ready|complete|finished|processed|loaded))|(?:of|/)\s?(\d{1,6})\b)"
)
_PART_WORDS_MAX = 12
# What somebody wants who knows that it takes time, or takes it many times.
_PATIENCE = re.compile(
    r"\b(?:wait|watch|monitor|poll|keep (?:checking|looking|an eye)|as soon as|(?:tell|notify|warn) me (?:when|once|if)"
    r"|let me know (?:when|once|if)|(?:each|every) (?:\w+ )?(?:seconds?|minutes?|hours?|day|time)|\w+ times|repeatedly)\b"
)
_BUSY_ONLY = re.compile(rf"\b{_BUSY}\b")
_BUSY_WORDS_MAX = 5  # in longer texts these words mean other things
_STATES = frozenset(("status", "state", "phase"))  # the last word of a key: StackStatus, run_state
# A state that is none of these is one that will change.
_SETTLED = frozenset(
    (
        *("done", "complete", "completed", "finish", "finished", "success", "successful", "succeeded", "ok", "okay"),
        *("passed", "pass", "failed", "failure", "error", "errored", "cancelled", "canceled", "closed", "merged"),
        *("resolved", "rejected", "declined", "denied", "approved", "accepted", "expired", "stopped", "terminated"),
        *("aborted", "skipped", "disabled", "enabled", "active", "inactive", "available", "ready", "healthy"),
        *("unhealthy", "online", "offline", "up", "down", "open", "opened", "on", "off", "valid", "invalid", "paid"),
        *("shipped", "delivered", "sent", "published", "archived", "deleted", "created", "updated", "found", "new"),
        *("draft", "public", "private", "live", "verified", "booked", "confirmed", "sold", "none", "fine", "good"),
    )
)
_ENDS = frozenset(("done", "ready", "complete", "completed", "finished", "available"))  # false: not yet
_PROGRESS = frozenset(("progress", "percent", "percentage", "pct"))  # below 100: not yet
_LATER = frozenset(("eta", "retry", "queue", "remaining"))  # a figure: not yet
_DEPTH_MAX, _ITEMS_READ_MAX = 3, 100
_FINAL = re.compile(r"\b(?:done|completed?|succeeded|success(?:ful)?|finished|cancell?ed|closed|merged|failed|error)\b")
# Tools that wait or look again, and tools that go one step further each time they are called.
_CALLED_AGAIN = frozenset(
    (
        *("sleep", "wait", "await", "delay", "pause", "poll", "polling", "heartbeat", "ping", "keepalive", "alive"),
        *("watch", "monitor", "status", "progress", "health", "healthcheck", "check", "refresh", "tail", "log", "logs"),
        *("output", "stdin", "notifications", "updates", "job", "jobs", "latest", "approval", "approvals"),
        *("inbox", "unread"),
        *("scroll", "press", "key", "keypress", "click", "tap", "swipe", "move", "next", "forward", "turn", "rotate"),
        *("undo", "redo", "roll", "draw", "spin", "increment"),
    )
)
# What people write; a tool that reads it waits for them.
_FROM_PEOPLE = frozenset(
    (
        *("mail", "mails", "email", "emails", "message", "messages", "reply", "replies", "answer", "answers", "thread"),
        *("comments", "reviews", "chat", "channel"),
    )
)
_READING = frozenset(("read", "get", "list", "fetch", "show", "view", "load", "see", "receive"))
_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def outcome_of(name: str, value: Any, *, is_error: bool = False) -> Outcome:
    """What the answer ``value`` of the tool ``name`` amounts to, by its words."""
    value = read_json(value)
    if is_error or _says_failed(value):
        return Outcome.FAILED
    text = value if isinstance(value, str) else dumped(value)
    if is_patient(name) and not _FINAL.search(text[:TEXT_READ_MAX].lower()):
        return Outcome.WAITING
    if _says_not_yet(value, text):
        return Outcome.WAITING
    return Outcome.EMPTY if _says_nothing(value, text) else Outcome.OK


def says_wait(text: str) -> bool:
    """Whether a short text says that something is not there yet."""
    low, count = _short(text)
    if count > SHORT_WORDS_MAX:
        return False
    if _NOT_YET.search(low) or (count <= _BUSY_WORDS_MAX and _BUSY_ONLY.search(low)):
        return True
    part = _PART.search(low) if count <= _PART_WORDS_MAX else None
    return part is not None and int(part[1]) < int(part[2] or 100)


def says_failed(text: str) -> bool:
    """Whether a text begins like an error."""
    return _FAILURE.match(text[:_FAILURE_READ_MAX].lower()) is not None


def asks_for_patience(text: str) -> bool:
    """Whether a short task is one of waiting, watching or doing the same several times."""
    low, count = _short(text)
    return count <= SHORT_WORDS_MAX and _PATIENCE.search(low) is not None


def _short(text: str) -> tuple[str, int]:
    """The text in lower case and its words; a long one has more than are short, and is not read."""
    if len(text) > _SHORT_LENGTH_MAX:
        return "", SHORT_WORDS_MAX + 1
    low = text.lower()
    return low, len(words(low))


def is_patient(name: str) -> bool:
    """Whether a tool of this name is there to be called again: sleep, get_job_status, heartbeat, scroll_down."""
    told = _name_words(name)
    reads = not _READING.isdisjoint(told) and not _FROM_PEOPLE.isdisjoint(told)
    return reads or not _CALLED_AGAIN.isdisjoint(told)


def _says_failed(value: Any) -> bool:
    if isinstance(value, dict):
        state = str(value.get("status") or value.get("state") or "").lower()
        return (
            bool(value.get("error") or value.get("errors") or value.get("is_error") or value.get("isError"))
            or value.get("success") is False
            or value.get("ok") is False
            or state in ("error", "failed", "failure")
            or value.get("exit_code") not in (None, 0, "0", "")
        )
    return isinstance(value, str) and says_failed(value)


def _says_nothing(value: Any, text: str) -> bool:
    if isinstance(value, dict | list):
        return not any(_has_news(inner) for inner in (value.values() if isinstance(value, dict) else value))
    if value is None or not text.strip():
        return True
    start = text[:_SHORT_LENGTH_MAX].lower()
    return _NOTHING.match(start) is not None and len(words(start)) <= _NOTHING_WORDS_MAX


def _has_news(value: Any) -> bool:
    return value not in (None, 0, "", False) and value != [] and value != {}


def _says_not_yet(value: Any, text: str) -> bool:
    if isinstance(value, dict | list):
        return _is_open(value, 0) or False
    return says_wait(text)


def _is_open(value: Any, depth: int) -> bool | None:
    """Whether an answer in JSON tells of something that goes on. What stands higher up counts more; None: it does not
    say."""
    if depth > _DEPTH_MAX or not isinstance(value, dict | list):
        return None
    inner = list(islice(value.values() if isinstance(value, dict) else value, _ITEMS_READ_MAX))
    said = (
        [_says_open(str(key), one) for key, one in zip(value, inner, strict=False)] if isinstance(value, dict) else []
    )
    said = [one for one in said if one is not None] or [_is_open(one, depth + 1) for one in inner]
    known = [one for one in said if one is not None]
    return any(known) if known else None


def _says_open(key: str, value: Any) -> bool | None:
    """What one entry says: {"status": "queued"} that it goes on, {"done": true} that it does not."""
    name = _name_words(key)
    if isinstance(value, str) and name[-1:] and name[-1] in _STATES:
        state = _name_words(value)
        return _BUSY_ONLY.search(" ".join(state)) is not None or _SETTLED.isdisjoint(state)
    if isinstance(value, bool):
        return not value if not _ENDS.isdisjoint(name) else None
    if isinstance(value, int | float):
        if not _PROGRESS.isdisjoint(name):
            return value < 100
        return True if not _LATER.isdisjoint(name) and value > 0 else None
    return None


def _name_words(name: str) -> list[str]:
    return [word.lower() for word in _NAME_WORDS.findall(name)]
