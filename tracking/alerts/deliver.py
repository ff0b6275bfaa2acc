"""The clock's round: hand alerts over, claim what is due, send it, say how it went.

At least once: whoever dies between the other side's yes and ours leaves the delivery to be sent again under the same
id. A round sends to many destinations at the same time; one of them gets its own one after the other, and when one
fails the rest of that round wait with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings

from tracking import audit
from tracking.alerts import addresses, apprise_send, outbox
from tracking.alerts.destinations import address_of
from tracking.alerts.messages import TEST_EVENT, test_payload, text_for, webhook_body
from tracking.alerts.outbox import Claimed
from tracking.audit import Actor
from tracking.egress import CallFailed, Target, post, read_target
from tracking.errors import WfloServerError
from tracking.models import Destination
from tracking.sealed import unseal
from wflo.webhooks import sign

AT_ONCE = 8
Kind = Destination.Kind


def deliver() -> int:
    """One round. How many deliveries were tried."""
    outbox.fan_out()
    claimed = outbox.claim()
    if not claimed:
        return 0
    by_destination: dict[UUID, list[Claimed]] = {}
    for delivery in claimed:
        by_destination.setdefault(delivery.destination_id, []).append(delivery)
    found = Destination.objects.select_related("team").in_bulk(list(by_destination))
    groups = [(found[key], deliveries) for key, deliveries in by_destination.items() if key in found]
    for destination, deliveries, why in _sent(groups):
        outbox.settle(deliveries, why)
        _tell(destination, why)
    return len(claimed)


def test(destination: Destination, *, actor: Actor) -> str:
    """Send a test now. What went wrong in one sentence, '' when it arrived."""
    payload = test_payload(actor.name)
    delivery = Claimed(uuid4(), destination.pk, TEST_EVENT, payload, 1, datetime.now(UTC))
    ((_, _, why),) = _sent([(destination, [delivery])])
    error = why[delivery.id] or ""
    _tell(destination, {delivery.id: error}, is_quiet_after=False)
    after = {"name": destination.name, "error": error}
    audit.record(actor, destination.team, "destination.test", "destination", destination.pk, after=after)
    return error


Group = tuple[Destination, list[Claimed]]
Outcome = tuple[Destination, list[Claimed], dict[UUID, str | None]]


def _sent(groups: Sequence[Group]) -> list[Outcome]:
    webhooks = [group for group in groups if group[0].kind == Kind.WEBHOOK]
    people = [group for group in groups if group[0].kind != Kind.WEBHOOK]
    outcomes: list[Outcome] = []
    if webhooks:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            whys = pool.map(lambda group: _posted(*group), webhooks)
            outcomes += [(*group, why) for group, why in zip(webhooks, whys, strict=True)]
    return outcomes + _messaged(people)


def _posted(destination: Destination, deliveries: Sequence[Claimed]) -> dict[UUID, str | None]:
    """In the order of their making. Touches no database: it runs in a thread of its own."""
    why: dict[UUID, str | None] = {delivery.id: None for delivery in deliveries}
    ends = time.monotonic() + settings.LIMITS["delivery_lease_seconds"] / 2
    try:
        target, secret = read_target(address_of(destination)), unseal(destination.signing or b"")
    except WfloServerError as error:
        return dict.fromkeys(why, error.message)
    for delivery in deliveries:
        if time.monotonic() > ends:
            break
        why[delivery.id] = _post(target, secret, destination, delivery)
        if why[delivery.id]:
            break
    return why


def _post(target: Target, secret: str, destination: Destination, delivery: Claimed) -> str:
    team, url = destination.team.slug, settings.WFLO_PUBLIC_URL
    body = webhook_body(str(delivery.id), delivery.event, team, delivery.payload, delivery.created_at, url)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Wflo",
        **sign(secret, str(delivery.id), body, at=time.time()),
    }
    try:
        status = post(target, body, headers)
    except CallFailed as error:
        return error.message
    if 300 <= status < 400:
        return f"It answered {status}: redirects are not followed."
    return "" if 200 <= status < 300 else f"It answered {status}."


def _messaged(groups: Sequence[Group]) -> list[Outcome]:
    """One message for each destination, of all that gathered for it."""
    messages, outcomes = [], []
    for destination, deliveries in groups:
        try:
            to = addresses.for_apprise(destination.kind, address_of(destination))
        except WfloServerError as error:
            outcomes.append((destination, deliveries, _same(deliveries, error.message)))
            continue
        is_mail = destination.kind == Kind.EMAIL
        payloads = [delivery.payload for delivery in deliveries]
        text = text_for(
            destination.team.name, payloads, settings.WFLO_PUBLIC_URL, is_calm=destination.kind == Kind.APPRISE
        )
        messages.append(
            apprise_send.Message(str(destination.pk), to, text.title, text.body, text.level, is_trusted=is_mail)
        )
    whys = apprise_send.send(messages)
    told = [(d, deliveries, _same(deliveries, whys[str(d.pk)])) for d, deliveries in groups if str(d.pk) in whys]
    return outcomes + told


def _same(deliveries: Sequence[Claimed], why: str) -> dict[UUID, str | None]:
    return {delivery.id: why for delivery in deliveries}


def _tell(destination: Destination, why: dict[UUID, str | None], *, is_quiet_after: bool = True) -> None:
    """What the settings page says of the last try. People then have some quiet."""
    tried = [error for error in why.values() if error is not None]
    if not tried:
        return
    now = datetime.now(UTC)
    changes: dict[str, object] = {"tried_at": now, "tried_error": tried[-1][:300]}
    if destination.kind != Kind.WEBHOOK and not tried[-1] and is_quiet_after:
        changes["quiet_until"] = now + timedelta(seconds=settings.LIMITS["quiet_seconds"])
    Destination.objects.filter(pk=destination.pk).update(**changes)
    destination.tried_at, destination.tried_error = now, tried[-1][:300]
