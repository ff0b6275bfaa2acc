"""Where the stores are: given by WFLO_DATABASE_URL and WFLO_REDIS_URL, else those that ``up`` keeps in WFLO_HOME."""

from __future__ import annotations

from pathlib import Path

from wflo_site import embedded_postgres, embedded_valkey
from wflo_site.env import env_str
from wflo_site.stack_home import recall


def store_urls(home: Path) -> tuple[str, str]:
    """PostgreSQL's address and Redis's. Nothing is started: a command beside a running ``up`` finds its stores."""
    database, redis = env_str("WFLO_DATABASE_URL"), env_str("WFLO_REDIS_URL")
    memory = recall(home) if not (database and redis) else None
    if memory is not None:
        return database or embedded_postgres.url(memory), redis or embedded_valkey.url(memory)
    return database or "postgresql://wflo@127.0.0.1:5432/wflo", redis or "redis://127.0.0.1:6379/0"
