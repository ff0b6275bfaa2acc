"""Accounts as an administrator's program handles them: made, changed, signed in for a key that ends by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.contrib.auth import authenticate, password_validation
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from tracking import audit, keys, teams
from tracking.audit import Actor
from tracking.errors import Invalid, NotAllowed, NotFound, RateLimited, Unauthenticated
from tracking.keys import Scope
from tracking.models import ApiKey, User

SESSION = "Sign-in of "  # how such a key's name begins
SESSION_HOURS = 12
TRIES, TRIES_SECONDS = 5, 300
# An administrator here is an operator of the installation; everyone else has the seats their teams give them.
ROLES = {"owner": True, "admin": True, "user": False}


def sign_in(email: str, password: str) -> tuple[User, str, datetime]:
    """(who, a key that acts as an operator's, when it ends). Raises Unauthenticated, RateLimited, NotAllowed."""
    email = email.strip().lower()
    _demand_tries(email)
    user = authenticate(username=email, password=password)
    if not isinstance(user, User):
        raise Unauthenticated("The address or the password is wrong.")
    if not user.is_superuser:
        raise NotAllowed("Only an operator of this installation signs in here.")
    seat = teams.first_seat_of(user)
    if seat is None:
        raise NotAllowed("There is no team yet to sign in to.")
    until = datetime.now(UTC) + timedelta(hours=SESSION_HOURS)
    actor = Actor.of(user)
    _, text = keys.mint(
        seat.team,
        name=f"{SESSION}{user}"[:120],
        scopes=[Scope.ADMIN, Scope.READ, Scope.JOBS],
        expires_at=until,
        is_operator=True,
        actor=actor,
    )
    cache.delete(_tries_key(email))
    return user, text, until


def sign_out(key_id: str | None, *, actor: Actor) -> None:
    """The key of a sign-in ends; any other stays."""
    for key in ApiKey.objects.filter(pk=key_id or "", name__startswith=SESSION, revoked_at=None):
        keys.revoke(key, actor=actor)


def person_of(user_id: int) -> User:
    """Raises NotFound."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user.")
    return user


def make(email: str, password: str, *, name: str, role: str, actor: Actor) -> User:
    """Raises Invalid naming the field."""
    user = User(email=email.strip().lower(), name=name)
    _give(user, role)
    _check(user, password)
    try:
        with transaction.atomic():
            user.set_password(password)
            user.save()
            audit.record(actor, None, "user.create", "user", user.pk, after={"email": user.email, "role": role})
    except IntegrityError:
        raise Invalid(f"{user.email} has an account already.", field="email") from None
    return user


def change(user: User, *, name: str | None, role: str | None, is_active: bool | None, actor: Actor) -> None:
    """Raises Invalid naming the field; the last operator stays one."""
    with transaction.atomic():
        fresh = User.objects.select_for_update().get(pk=user.pk)
        before = {"name": fresh.name, "is_operator": fresh.is_superuser, "is_active": fresh.is_active}
        if name is not None:
            fresh.name = name
        if role is not None:
            _give(fresh, role)
        if is_active is not None:
            fresh.is_active = is_active
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=fresh.pk)
        if not (fresh.is_superuser and fresh.is_active) and not others.exists():
            raise Invalid("This is the last operator: make another first.", field="role")
        _check(fresh, None)
        fresh.save()
        after = {"name": fresh.name, "is_operator": fresh.is_superuser, "is_active": fresh.is_active}
        audit.record(actor, None, "user.change", "user", fresh.pk, before=before, after=after)
        if not (fresh.is_superuser and fresh.is_active):
            for key in ApiKey.objects.filter(created_by=fresh, name__startswith=SESSION, revoked_at=None):
                keys.revoke(key, actor=actor)
    user.refresh_from_db()


def change_password(user: User, current: str, new: str, *, actor: Actor) -> None:
    """Raises Unauthenticated when ``current`` is wrong, Invalid."""
    _demand_tries(user.email)
    if not user.check_password(current):
        raise Unauthenticated("The current password is wrong.")
    _check(user, new)
    with transaction.atomic():
        user.set_password(new)
        user.save(update_fields=["password"])
        audit.record(actor, None, "user.new_password", "user", user.pk)


def _give(user: User, role: str) -> None:
    if role not in ROLES:
        raise Invalid(f"role is one of {', '.join(ROLES)}.", field="role")
    user.is_superuser = user.is_staff = ROLES[role]


def _check(user: User, password: str | None) -> None:
    try:
        user.clean_fields(exclude=["password"])
        if password is not None:
            password_validation.validate_password(password, user)
    except ValidationError as error:
        if hasattr(error, "message_dict"):
            field, sentences = next(iter(error.message_dict.items()))
            raise Invalid(sentences[0], field=field) from None
        raise Invalid(" ".join(error.messages), field="password") from None


def _tries_key(email: str) -> str:
    return f"sign-in-tries:{email[:254]}"


def _demand_tries(email: str) -> None:
    """A few tries in five minutes for each address, whoever makes them."""
    key = _tries_key(email)
    cache.add(key, 0, TRIES_SECONDS)
    try:
        tries = cache.incr(key)
    except ValueError:  # it ended meanwhile
        return
    if tries > TRIES:
        error = RateLimited("Too many tries. Wait five minutes.")
        error.retry_after_s = TRIES_SECONDS
        raise error
