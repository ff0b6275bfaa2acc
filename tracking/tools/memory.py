"""What an agent writes down for its later runs: notes with a title, of its own name in its team."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from tracking.models import MemoryNote, Team
from tracking.store_time import store_now

TITLE_CHARACTERS_MAX = 200


def remember(team: Team, agent: str, run: str, title: str, text: str) -> dict[str, Any]:
    """Raises ValueError."""
    title, text = _title(title), text.replace("\0", "\ufffd")
    most = settings.LIMITS["memory_note_characters"]
    if not text.strip() or len(text) > most:
        raise ValueError(f"a note has 1 to {most:,} characters")
    with transaction.atomic():
        _lock(team, agent)
        found = _notes(team, agent).filter(title=title).first()
        most = settings.LIMITS["memory_notes_per_agent"]
        if found is None and _notes(team, agent).count() >= most:
            raise ValueError(f"there are {most} notes already: forget one first")
        _write(team, agent, run, title, text)
    return {"remembered": title, "replaced": None if found is None else found.text}


def recall(team: Team, agent: str, query: str = "") -> dict[str, Any]:
    """Those with every word of ``query``, the latest first; without one, all titles."""
    rows = _notes(team, agent).order_by("-changed_at", "title")
    for word in query.replace("\0", "").split()[:20]:
        rows = rows.filter(Q(title__icontains=word) | Q(text__icontains=word))
    most = settings.LIMITS["memory_notes_recalled"]
    notes = [
        {"title": row.title, "text": row.text, "changed_at": row.changed_at.isoformat(timespec="seconds")}
        for row in rows[:most]
    ]
    others = list(rows.values_list("title", flat=True)[most : most + 200])
    return {"notes": notes, "other_titles": others}


def forget(team: Team, agent: str, title: str) -> dict[str, Any]:
    with transaction.atomic():
        _lock(team, agent)
        found = _notes(team, agent).filter(title=_title(title)).first()
        _notes(team, agent).filter(title=_title(title)).delete()
    return {"forgotten": None if found is None else found.title, "text": None if found is None else found.text}


def undo_remember(team: Team, agent: str, arguments: dict[str, Any], result: str) -> str:
    """The note as it was before, unless somebody has written another meanwhile."""
    told = _told(result)
    title, before = told.get("remembered"), told.get("replaced")
    if not isinstance(title, str):
        return "Nothing had been written."
    with transaction.atomic():
        _lock(team, agent)
        found = _notes(team, agent).filter(title=title).first()
        if found is None or found.text != str(arguments.get("text", "")).replace("\0", "\ufffd"):
            return f'The note "{title}" was left: it has been changed since.'
        if before is None:
            found.delete()
            return f'The note "{title}" is gone again.'
        _write(team, agent, found.run, title, str(before))
    return f'The note "{title}" is what it was before.'


def undo_forget(team: Team, agent: str, arguments: dict[str, Any], result: str) -> str:
    """The note again, unless there is one of its title meanwhile."""
    told = _told(result)
    title, text = told.get("forgotten"), told.get("text")
    if not isinstance(title, str) or not isinstance(text, str):
        return "Nothing had been forgotten."
    with transaction.atomic():
        _lock(team, agent)
        if _notes(team, agent).filter(title=title).exists():
            return f'The note "{title}" was left: it has been written anew since.'
        _write(team, agent, "", title, text)
    return f'The note "{title}" is there again.'


def _notes(team: Team, agent: str) -> Any:
    return MemoryNote.objects.filter(team=team, agent=agent)


def _write(team: Team, agent: str, run: str, title: str, text: str) -> None:
    changed = {"text": text, "run": run[:128], "changed_at": store_now()}
    MemoryNote.objects.update_or_create(team=team, agent=agent, title=title, defaults=changed)


def _lock(team: Team, agent: str) -> None:
    """One writer at a time of an agent's notes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 9))", [f"{team.pk}:{agent}"])


def _title(title: str) -> str:
    cleaned = " ".join(title.replace("\0", "").split())
    if not 0 < len(cleaned) <= TITLE_CHARACTERS_MAX:
        raise ValueError(f"a title has 1 to {TITLE_CHARACTERS_MAX} characters")
    return cleaned


def _told(result: str) -> dict[str, Any]:
    try:
        found = json.loads(result)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
