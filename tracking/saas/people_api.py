"""/api/admin-users: administrators of the installation, their sign-in, and the log of what was changed."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from tracking import people
from tracking.audit import Actor
from tracking.errors import Invalid, NotFound
from tracking.models import ApiKey, AuditEntry, User
from tracking.saas.auth import ADMIN, actor_of, caller_of

router = Router(auth=ADMIN, tags=["Administrators"])

LISTED_MAX = 500


class Credentials(Schema):
    email: Annotated[str, Field(max_length=254)]
    password: Annotated[str, Field(max_length=1000)]


class NewUser(Credentials):
    display_name: Annotated[str, Field(max_length=120)] = ""
    role: str = "admin"


class UserChange(Schema):
    display_name: Annotated[str, Field(max_length=120)] | None = None
    role: str | None = None
    is_active: bool | None = None


class NewPassword(Schema):
    current_password: Annotated[str, Field(max_length=1000)]
    new_password: Annotated[str, Field(max_length=1000)]


@router.get("/admin-users/setup/status", auth=None, summary="Whether there is an administrator")
def setup_status(request: HttpRequest) -> dict[str, Any]:
    return {"needs_setup": not _operators().exists(), "has_users": User.objects.exists()}


@router.post("/admin-users/setup", auth=None, summary="Make the first administrator")
def setup(request: HttpRequest, body: NewUser) -> dict[str, Any]:
    if _operators().exists():
        raise Invalid("Setup already completed: there is an administrator. Sign in.")
    actor = Actor("system", "", "Setup")
    people.make(body.email, body.password, name=body.display_name, role="owner", actor=actor)
    return login(request, Credentials(email=body.email, password=body.password))


@router.post("/admin-users/login", auth=None, summary="A key that ends by itself, for an administrator")
def login(request: HttpRequest, body: Credentials) -> dict[str, Any]:
    user, text, until = people.sign_in(body.email, body.password)
    return {
        "access_token": text,
        "token_type": "bearer",
        "expires_at": until.isoformat(),
        "user": _user_json(user),
    }


@router.post("/admin-users/logout", summary="End the key of a sign-in")
def logout(request: HttpRequest) -> dict[str, Any]:
    people.sign_out(caller_of(request).key_id, actor=actor_of(request))
    return {"message": "Signed out."}


@router.get("/admin-users/me", summary="Who calls")
def me(request: HttpRequest) -> dict[str, Any]:
    return _user_json(_caller_user(request))


@router.post("/admin-users/change-password", summary="Another password for who calls")
def change_password(request: HttpRequest, body: NewPassword) -> dict[str, Any]:
    user = _caller_user(request)
    people.change_password(user, body.current_password, body.new_password, actor=actor_of(request))
    return {"message": "The password is changed."}


@router.get("/admin-users/audit-logs", summary="What was changed, the latest first")
def audit_logs(
    request: HttpRequest, limit: Annotated[int, Field(ge=1, le=LISTED_MAX)] = 100, offset: int = 0
) -> list[dict[str, Any]]:
    rows = AuditEntry.objects.order_by("-id")[max(offset, 0) : max(offset, 0) + limit]
    return [
        {
            "log_id": row.pk,
            "action": row.action,
            "actor": row.actor_name,
            "resource_type": row.object_kind,
            "resource_id": row.object_id,
            "details": {"before": row.before, "after": row.after},
            "created_at": row.at.isoformat(),
        }
        for row in rows
    ]


@router.get("/admin-users", summary="Everyone with an account")
def list_users(request: HttpRequest) -> list[dict[str, Any]]:
    return [_user_json(user) for user in User.objects.order_by("email")[:LISTED_MAX]]


@router.post("/admin-users", summary="Make an account")
def create_user(request: HttpRequest, body: NewUser) -> dict[str, Any]:
    made = people.make(body.email, body.password, name=body.display_name, role=body.role, actor=actor_of(request))
    return _user_json(made)


@router.post("/admin-users/create", summary="Make an account")
def create_user_too(request: HttpRequest, body: NewUser) -> dict[str, Any]:
    return create_user(request, body)


@router.get("/admin-users/{int:user_id}", summary="An account")
def one_user(request: HttpRequest, user_id: int) -> dict[str, Any]:
    return _user_json(people.person_of(user_id))


@router.put("/admin-users/{int:user_id}", summary="Change an account")
def change_user(request: HttpRequest, user_id: int, body: UserChange) -> dict[str, Any]:
    user = people.person_of(user_id)
    people.change(user, name=body.display_name, role=body.role, is_active=body.is_active, actor=actor_of(request))
    return _user_json(user)


@router.delete("/admin-users/{int:user_id}", summary="Close an account")
def delete_user(request: HttpRequest, user_id: int) -> dict[str, Any]:
    user = people.person_of(user_id)
    people.change(user, name=None, role=None, is_active=False, actor=actor_of(request))
    return {"user_id": user.pk, "deleted": True}


def _operators() -> Any:
    return User.objects.filter(is_superuser=True)


def _caller_user(request: HttpRequest) -> User:
    key = ApiKey.objects.select_related("created_by").filter(pk=caller_of(request).key_id or "").first()
    if key is None or key.created_by is None:
        raise NotFound("This key is nobody's in particular: sign in with an address and a password.")
    return key.created_by


def _user_json(user: User) -> dict[str, Any]:
    return {
        "user_id": user.pk,
        "email": user.email,
        "display_name": user.name,
        "role": "admin" if user.is_superuser else "user",
        "is_active": user.is_active,
        "last_login": user.last_login and user.last_login.isoformat(),
        "created_at": user.date_joined.isoformat(),
    }
