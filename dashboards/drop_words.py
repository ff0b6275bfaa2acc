"""What a reason for which a sender gave events up means, and what to do about it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from tracking.reports.drops import DropLine


class Words(NamedTuple):
    what: str
    todo: str


REASONS = {
    "queue_full": Words(
        "More came than could be sent, so the oldest went.",
        "Set WFLO_SPOOL_FOLDER: then what waits is kept on disk. Or raise queue_items and queue_bytes in wflo.configure().",
    ),
    "spool_full": Words(
        "The folder that keeps what waits was full.",
        "See why Wflo is not reached, or raise spool_bytes in wflo.configure().",
    ),
    "unreadable": Words("What was kept on disk cannot be read any more.", "See whether the disk of that host is well."),
    "unsent_at_exit": Words(
        "The program ended before all was sent.",
        "Call wflo.flush() before it ends, or set WFLO_SPOOL_FOLDER: the next start sends it.",
    ),
    "unauthorized": Words(
        "The address or the key was wrong.", "Look at WFLO_ENDPOINT and WFLO_API_KEY of that program."
    ),
    "too_large": Words(
        "One event alone was larger than is taken in.",
        "Have it send shorter prompts and results, or WFLO_CAPTURE_CONTENT=false.",
    ),
    "refused": Words("The server would not take them.", "Its answers are in the log of that program, under wflo."),
    "rejected": Words("Single events were wrong.", "What was wrong is in the log of that program, under wflo."),
    "server_error": Words("The server failed again and again.", "Ask an operator to look at its log."),
    "fault": Words("The library failed.", "What failed is in the log of that program, under wflo: report it."),
}
_OTHER = Words("The sender gave them up.", "Its log says why.")


def with_words(lines: list[DropLine]) -> list[tuple[DropLine, str, Words]]:
    """Each with its reason as people read it."""
    return [(line, line.reason.replace("_", " "), REASONS.get(line.reason, _OTHER)) for line in lines]
