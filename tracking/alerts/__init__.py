"""ROOM: what a person should see, and how it reaches them.

standing.py      an alert opens once, is acknowledged, is resolved
events.py        something happened that a program waits for: notify(team, event, payload)
words.py         an alert or event in plain words: what happened, what to do, where to look; phrases.py: their parts
rules.py         when the clock opens alerts; tracking/alert_watch.py looks
destinations.py  where a team is told; addresses.py: what an address must be, sealed and shown
outbox.py        deliveries: one for each alert and destination, claimed, retried, given up
deliver.py       the round the clock makes; messages.py: what is said; apprise_send.py: to people's services

An alert that was not handed to destinations yet (``delivered_at``) is the outbox; so is a waiting delivery. Both are
rows, so whatever dies, somebody goes on: things are told at least once, each under one id.
"""

from __future__ import annotations

from tracking.alerts.events import notify
from tracking.alerts.standing import acknowledge, open_once, resolve, resolve_key

__all__ = ["acknowledge", "notify", "open_once", "resolve", "resolve_key"]
