"""Which columns a usage row is grouped by. The numbers are stored: append only."""

from __future__ import annotations

TOTAL = 0
AGENT = 1
MODEL = 2
PROVIDER = 3
TOOL = 4
KIND = 5
USER = 6
KEY = 7
ENVIRONMENT = 8
AGENT_MODEL = 9
CUBE = 10
DOOR = 11  # spans by what became of them at the door; the reason stands in ``agent``

COLUMNS: dict[int, tuple[str, ...]] = {
    TOTAL: (),
    AGENT: ("agent",),
    MODEL: ("model",),
    PROVIDER: ("provider",),
    TOOL: ("tool",),
    KIND: ("kind",),
    USER: ("user_id",),
    KEY: ("key_id",),
    ENVIRONMENT: ("environment",),
    AGENT_MODEL: ("agent", "model"),
    CUBE: ("agent", "model", "provider", "tool", "kind", "key_id", "environment"),
    DOOR: ("agent",),
}


def smallest_slice(columns: frozenset[str]) -> int | None:
    """The slice with the fewest rows that can answer a question on these columns; None if none holds them all."""
    fitting = [code for code, held in COLUMNS.items() if code != DOOR and columns <= set(held)]
    return min(fitting, key=lambda code: len(COLUMNS[code]), default=None)
