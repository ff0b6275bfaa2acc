"""All settings, from WFLO_ variables; README.md lists every one. One file, loud on nonsense."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from wflo_site.database_url import database
from wflo_site.env import env_choice, env_int, env_networks, env_secret, env_str
from wflo_site.oidc import oidc_origin, oidc_server
from wflo_site.store_urls import store_urls

BASE_DIR = Path(__file__).resolve().parent.parent

# --- where this copy lives ---------------------------------------------------------------------------------------
WFLO_ENV = env_choice("WFLO_ENV", "local", ("local", "production", "test"))
WFLO_HOME = Path(env_str("WFLO_HOME", str(BASE_DIR / ".wflo"))).expanduser().resolve()
WFLO_HOST = env_str("WFLO_HOST", "127.0.0.1")
WFLO_PORT = env_int("WFLO_PORT", 8000, low=1, high=65535)
WFLO_PUBLIC_URL = env_str("WFLO_PUBLIC_URL", f"http://{WFLO_HOST}:{WFLO_PORT}").rstrip("/")
DEBUG = False

SECRET_KEY = env_secret("WFLO_SECRET_KEY", kept=None if WFLO_ENV == "production" else WFLO_HOME / "secret_key")
# Keys of before: sessions they signed and secrets they sealed are still read.
SECRET_KEY_FALLBACKS = env_str("WFLO_OLD_SECRET_KEYS").split()
ALLOWED_HOSTS = env_str("WFLO_ALLOWED_HOSTS", "*" if WFLO_ENV != "production" else WFLO_HOST).split(",")
CSRF_TRUSTED_ORIGINS = [WFLO_PUBLIC_URL]

# Networks that teams' webhooks, agents' tools and MCP servers may reach though they are not public, with spaces between.
WFLO_ALLOW_PRIVATE_EGRESS = env_networks("WFLO_ALLOW_PRIVATE_EGRESS")
# Functions that agents defined here may have as tools: package.module:function, with commas between.
WFLO_TOOLS = [name.strip() for name in env_str("WFLO_TOOLS").split(",") if name.strip()]
# The mail server that alerts are sent through.
WFLO_SMTP_URL = env_str("WFLO_SMTP_URL")

# What the first start makes (manage.py bootstrap). WFLO_API_KEY becomes a key with all scopes.
WFLO_TEAM = env_str("WFLO_TEAM", "My team")
WFLO_ADMIN_EMAIL = env_str("WFLO_ADMIN_EMAIL", "admin@wflo.local")
WFLO_ADMIN_PASSWORD = env_str("WFLO_ADMIN_PASSWORD")
WFLO_API_KEY = env_str("WFLO_API_KEY")

# --- limits: everything has one, and all are here ------------------------------------------------------------------
LIMITS: dict[str, int] = {
    "body_compressed_bytes": 8 * 2**20,
    "body_bytes": 20 * 2**20,
    "body_seconds": 30,
    "bodies_in_flight_bytes": 128 * 2**20,
    "spans_per_request": 10_000,
    "events_per_request": 500,
    "events_bytes": 5 * 2**20,
    "writer_spans_waiting": 40_000,
    "writer_spans_per_commit": 4_000,
    "spans_per_run": 200_000,
    "usage_deltas_per_fold": 50_000,
    "fold_ms": 120_000,
    "page_rows": 50,
    "palette_runs_searched": 5_000,
    "facets_remembered": 32,
    "facets_remembered_seconds": 10,
    "facet_combinations_remembered": 1_000,
    "reprice_runs_at_once": 200,
    "page_rows_max": 500,
    "usage_rows_max": 10_000,
    "usage_days_max": 800,
    "teams_listed": 200,
    "saas_listed": 1_000,  # teams or organizations in one answer of /api
    "teams_per_organization": 200,
    "members_per_team": 500,
    "keys_per_team": 200,
    "keys_listed": 500,
    "key_cache_seconds": 1,
    "key_lookup_seconds": 3,
    "key_characters": 500,
    "key_rotation_hours": 24,
    "keys_cached": 10_000,
    "budgets_per_team": 200,
    "budgets_per_organization": 50,
    "budget_subjects_opened": 20_000,
    "budget_lock_ms": 5_000,
    "budget_raise_days": 31,
    "what_if_days": 92,
    "what_if_entries": 100_000,
    "price_check_seconds": 2,
    "prices_remembered": 20_000,
    "run_idle_minutes": 30,
    "statement_ms": 15_000,
    "requests_at_once": 8,
    "hold_lease_ms": 60_000,
    "holds_swept_at_once": 5_000,
    "closed_hold_days": 30,  # a settlement that comes later finds no hold
    "holds_cleared_at_once": 50_000,
    "holds_cleared_per_commit": 1_000,
    "entries_sealed_at_once": 50_000,
    "entries_sealed_per_commit": 1_000,
    "seals_verified_at_once": 20_000,
    "drifts_told_at_once": 100,
    "reconcile_ms": 600_000,
    "gateway_connections": 8,
    "gateway_store_seconds": 2,
    "gateway_upstream_connections": 2_000,
    "gateway_attempts": 4,
    "gateway_answer_seconds": 600,
    "gateway_question_seconds": 60,  # what costs nothing
    "gateway_answer_bytes": 64 * 2**20,
    "gateway_idle_seconds": 120,
    "guard_kept_back_chars": 16_384,  # of a stream's text, in which a secret may have begun
    "gateway_stream_seconds": 1_800,
    "gateway_output_tokens": 16_384,  # held for a call that names no cap, where a budget applies
    "loop_spans": 400,  # calls of a run that are read for loops, the latest
    "loop_runs": 300,  # of a team that are looked at in a round
    "loop_watch_ms": 300,  # of each round, every five seconds
    "checkpoint_bytes": 2 * 2**20,  # of one state as JSON
    "checkpoint_warn_bytes": 256 * 2**10,
    "checkpoints_cleared_at_once": 2_000,
    "compare_steps": 5_000,  # of each run, the first
    "compare_cells": 400_000,  # a step with a step; longer runs are aligned by what occurs once
    "compare_texts": 400,  # steps of both together whose words are read to be compared; of longer runs those shown
    "compare_text_bytes": 4 * 2**20,  # compressed
    "compare_parents": 20,  # runs that a run goes on from, one from the other
    "open_runs_per_request": 200,  # of which a sender hears with one answer
    "drop_reasons_per_request": 20,
    "approval_seconds": 7 * 86_400,
    "approval_payload_bytes": 64 * 2**10,
    "approvals_told": 50,  # of a run to its sender, the latest
    "approval_told_minutes": 60,  # after it was decided
    "dead_letter_bytes": 256 * 2**10,
    "poll_seconds": 7 * 86_400,
    "voters_per_poll": 200,
    "shared_value_bytes": 256 * 2**10,
    "shared_values_per_run": 500,
    "job_lease_seconds": 20,  # a worker that is silent for so long has lost its jobs
    "jobs_per_worker": 16,  # at once
    "jobs_at_once_per_team": 100,
    "jobs_waiting_per_team": 20_000,  # that are not done
    "jobs_taken_back_at_once": 500,
    "jobs_looked_at": 500,  # of those that wait, in a round
    "job_losses": 3,  # workers that died or fell silent over one step; then it is given up
    "job_attempts": 5,  # failures for a moment, in a row
    "job_rest_seconds": 10,  # before it asks again, where its agent is cut off or calls too often
    "job_pause_seconds": 300,  # for money; then it is tried anyway
    "job_minutes": 60,  # of one run, where its agent says nothing else
    "job_steps": 1_000,
    "job_input_bytes": 256 * 2**10,
    "schedules_per_team": 200,
    "live_streams": 200,  # of a process
    "job_metadata_bytes": 10 * 2**10,
    "job_error_characters": 10_000,
    "job_model_groups": 50,  # told of one job
    "gateway_floor_tokens": 16,  # fewer are not worth a call
    "gateway_messages": 5_000,
    "responses_kept_days": 30,  # by OpenAI; later nobody can go on from them
    "gateway_slice_tokens": 256,  # by which an elastic hold grows
    "kept_answer_bytes": 4 * 2**20,
    "kept_answer_hours": 24,
    "kept_answers_cleared_at_once": 5_000,
    "kept_lease_seconds": 60,  # an idempotency key whose process died is free after it
    "kept_wait_ms": 5_000,  # for the answer of the first request with a key
    "rate_store_ms": 1_000,  # a slower Redis is away; less would be given up when limits are needed most
    "rate_away_seconds": 1,
    "rate_connections": 16,
    "rate_place_seconds": 60,  # among calls at once, without a sign of life
    "circuit_failures": 5,  # in a row
    "circuit_error_percent": 50,  # of the calls of a window
    "circuit_calls": 20,  # fewer say nothing of a rate
    "circuit_window_seconds": 60,
    "circuit_rest_seconds": 30,
    "circuit_probe_seconds": 60,
    "circuit_view_ms": 500,
    "circuits_shown": 500,
    "circuit_entries_shown": 30,  # of the log
    "breaker_agents": 100,  # whose speed is looked at in a round: the dearest of a team
    "route_cache_seconds": 2,
    "groups_per_team": 200,
    "deployments_per_group": 50,
    "aliases_per_team": 500,
    "credentials_listed": 500,
    "address_characters": 2_000,
    "egress_seconds": 10,
    "egress_answer_bytes": 64 * 2**10,
    "egress_addresses": 4,
    "tool_http_seconds": 20,
    "tool_http_bytes": 512 * 2**10,
    "tool_http_redirects": 3,
    "tool_expression_characters": 1_000,
    "mcp_seconds": 60,  # for one call of a tool
    "mcp_list_seconds": 15,
    "mcp_bytes": 4 * 2**20,
    "mcp_tools": 200,  # of one server
    "mcp_servers_per_team": 50,
    "memory_notes_per_agent": 500,
    "memory_note_characters": 10_000,
    "memory_notes_recalled": 20,
    "agents_per_team": 500,
    "agent_bytes": 128 * 2**10,  # of one definition as JSON
    "agent_snapshot_bytes": 512 * 2**10,  # with its members
    "agent_members": 20,
    "agent_depth": 3,  # of members' members
    "apprise_seconds": 15,
    "destinations_per_team": 50,
    "recipients_per_destination": 20,
    "alert_payload_bytes": 32 * 2**10,
    "alerts_at_once": 200,
    "alerts_per_round": 500,
    "alerts_kept_days": 400,
    "alert_rules_per_team": 100,
    "delivery_lease_seconds": 120,
    "deliveries_per_round": 2_000,
    "deliveries_per_webhook": 20,
    "deliveries_gathered": 200,
    "deliveries_waiting_per_destination": 2_000,
    "deliveries_kept_days": 30,
    "quiet_seconds": 30,
}

# --- money ----------------------------------------------------------------------------------------------------------
WFLO_BUDGET_WAIT_MS = env_int("WFLO_BUDGET_WAIT_MS", 5_000, low=0, high=60_000)
WFLO_INPUT_BOUND = env_choice("WFLO_INPUT_BOUND", "tokens", ("tokens", "bytes"))

# --- stores ---------------------------------------------------------------------------------------------------------
WFLO_DATABASE_URL, WFLO_REDIS_URL = store_urls(WFLO_HOME)
DATABASES: dict[str, Any] = {
    "default": database(
        WFLO_DATABASE_URL,
        pool_size=env_int("WFLO_DATABASE_POOL", 8, low=1, high=200),
        statement_timeout_ms=LIMITS["statement_ms"],
    ),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- the application ------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "wflo_site",
    "dashboards",
    "tracking",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "ninja",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]
MIDDLEWARE = [
    "dashboards.middleware.RequestId",
    "wflo_site.problems.ProblemJson",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dashboards.middleware.SignedIn",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "wflo_site.urls"
ASGI_APPLICATION = "wflo_site.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboards.frame.frame",
            ],
        },
    },
]
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en"

# --- people -----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "tracking.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
PASSWORD_RESET_TIMEOUT = int(timedelta(days=3).total_seconds())
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = WFLO_PUBLIC_URL.startswith("https://")
SESSION_COOKIE_AGE = int(timedelta(days=14).total_seconds())

# Accounts are made by admins, never by sign-up; addresses are vouched for by whoever added them.
ACCOUNT_ADAPTER = "dashboards.sign_in.Accounts"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",
    "change_password": "5/m/user",
    "reset_password_from_key": "20/m/ip",
}
ALLAUTH_TRUSTED_PROXY_COUNT = env_int("WFLO_TRUSTED_PROXIES", 0, high=10)
SOCIALACCOUNT_ADAPTER = "dashboards.sign_in.SingleSignOn"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
WFLO_OIDC = oidc_server(
    issuer=env_str("WFLO_OIDC_ISSUER"),
    client_id=env_str("WFLO_OIDC_CLIENT_ID"),
    client_secret=env_str("WFLO_OIDC_CLIENT_SECRET"),
    name=env_str("WFLO_OIDC_NAME", "single sign-on"),
)
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [WFLO_OIDC] if WFLO_OIDC else []}}

# --- what a browser may load: our own files, nothing else --------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF, *oidc_origin(WFLO_OIDC)],  # browsers ask this of the redirect to the issuer too
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "dashboards.views.errors.csrf_failure"

# --- static files ------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = WFLO_HOME / "static"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "wflo_site.plotly_script.PlotlyScript",
]
# Named by their content and served by wflo_site.static_files; compressed copies go to STATIC_ROOT. Nothing to build.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "wflo_site.static_files.ContentNames"},
}

# --- cache: rate limits of sign-in, shared by all processes -----------------------------------------------------------
CACHES = {
    "default": {
        "BACKEND": "wflo_site.cache.SharedCache",
        "LOCATION": WFLO_REDIS_URL,
        "KEY_PREFIX": "wflo",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }
}

# --- Celery: PostgreSQL is the queue of record, a message is only a hint -------------------------------------------------
CELERY_BROKER_URL = WFLO_REDIS_URL

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": env_choice("WFLO_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    },
}
