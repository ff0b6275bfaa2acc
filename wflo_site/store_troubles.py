"""Why an external PostgreSQL or Redis cannot be used, in one sentence."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
import redis

OLDEST_POSTGRES = 150_000
CONNECT_SECONDS = 5


def database_trouble(url: str) -> str:
    """Empty when it can be used. Never says the password."""
    parts = urlsplit(url)
    where = f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS) as link:
            version = link.info.server_version
            row = link.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')").fetchone()
    except psycopg.ProgrammingError as error:
        return (
            f"WFLO_DATABASE_URL cannot be read ({_first_line(error)}): give postgresql://user:password@host:port/name."
        )
    except psycopg.OperationalError as error:
        return _database_answer(_first_line(error), where, parts.username or "", parts.path.lstrip("/"))
    if version < OLDEST_POSTGRES:
        return f"PostgreSQL at {where} is version {version // 10_000}: Wflo needs 15 or newer."
    if not row or not row[0]:
        return (
            f"User {parts.username!r} may not create tables in the database at {where}: grant it CREATE on the schema."
        )
    return ""


def _database_answer(said: str, where: str, user: str, name: str) -> str:
    if said.startswith("connection is bad: invalid"):
        return f"WFLO_DATABASE_URL cannot be read ({said[19:]}): give postgresql://user:password@host:port/name."
    if "password authentication failed" in said or "no password supplied" in said or "authentication" in said:
        return f"PostgreSQL at {where} refuses user {user!r}: correct user and password in WFLO_DATABASE_URL."
    if "does not exist" in said and "database" in said:
        return f"PostgreSQL at {where} has no database {name!r}: create it, or correct the name in WFLO_DATABASE_URL."
    if "does not exist" in said:
        return f"PostgreSQL at {where} has no user {user!r}: correct the user in WFLO_DATABASE_URL."
    if "resolve" in said or "not known" in said:
        return f"The host of {where} is not known: correct the host in WFLO_DATABASE_URL."
    if "too many" in said:
        return f"PostgreSQL at {where} has no connection left: raise its max_connections or close some."
    return f"PostgreSQL at {where} does not answer ({said.rpartition('failed: ')[2]}): start it, or correct host and port in WFLO_DATABASE_URL."


def redis_trouble(url: str) -> str:
    """Empty when it can be used."""
    parts = urlsplit(url)
    where = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    try:
        link = redis.Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS)
        try:
            link.ping()
        finally:
            link.close()
    except ValueError as error:
        return f"WFLO_REDIS_URL cannot be read ({error}): give redis://:password@host:port/0."
    except redis.AuthenticationError:
        return f"Redis at {where} refuses the password: correct it in WFLO_REDIS_URL."
    except redis.RedisError as error:
        return f"Redis at {where} does not answer ({_first_line(error)}): start it, or correct WFLO_REDIS_URL."
    return ""


def _first_line(error: Exception) -> str:
    """libpq repeats itself for each address it tried."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
