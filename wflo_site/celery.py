"""The Celery app of worker and beat. PostgreSQL is the queue of record; a message is only a hint, and may be lost.

Beat only sends names at their times, so it does without Django and stays small; every other process has it.
"""

from __future__ import annotations

import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning
from celery.schedules import crontab
from celery.signals import task_postrun, worker_process_init, worker_ready, worker_shutting_down

VISIBILITY_SECONDS = 120
SOCKET_SECONDS = 10

IS_BEAT = "beat" in sys.argv
if not IS_BEAT:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wflo_site.settings")

# Celery warns of root because of pickle; nothing but JSON is taken here.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("wflo")
app.conf.update(
    broker_url=os.environ.get("WFLO_REDIS_URL", "").strip() or "redis://127.0.0.1:6379/0",
    # A worker killed midway leaves its message to the next; each task is safe to run twice.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_soft_shutdown_timeout=3,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    task_ignore_result=True,
    task_default_queue="wflo",
    # The shortest of all apps on one broker wins, so all three places say the same.
    visibility_timeout=VISIBILITY_SECONDS,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": SOCKET_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "max_retries": 3,
    },
    result_backend_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_pool_limit=10,
    broker_pool_acquire_timeout=5,
    task_publish_retry=True,
    task_publish_retry_policy={"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0},
    beat_max_loop_interval=5,
    timezone="UTC",
    enable_utc=True,
    beat_schedule={
        "fold usage": {
            "task": "tracking.tasks.fold_usage",
            "schedule": timedelta(seconds=5),
            "options": {"expires": 5},
        },
        "close idle runs": {
            "task": "tracking.tasks.close_idle_runs",
            "schedule": timedelta(minutes=1),
            "options": {"expires": 60},
        },
        "deliver alerts": {
            "task": "tracking.tasks.deliver_alerts",
            "schedule": timedelta(seconds=5),
            "options": {"expires": 5},
        },
        "watch alert rules": {
            "task": "tracking.tasks.watch_rules",
            "schedule": timedelta(minutes=1),
            "options": {"expires": 60},
        },
        "clear kept answers": {
            "task": "tracking.tasks.clear_kept_answers",
            "schedule": crontab(minute="47"),
            "options": {"expires": 30 * 60},
        },
        "expire approvals": {
            "task": "tracking.tasks.expire_approvals",
            "schedule": timedelta(seconds=30),
            "options": {"expires": 30},
        },
        "clear old checkpoints": {
            "task": "tracking.tasks.clear_checkpoints",
            "schedule": crontab(minute="27"),
            "options": {"expires": 30 * 60},
        },
        "clear old alerts": {
            "task": "tracking.tasks.clear_alerts",
            "schedule": crontab(minute="37"),
            "options": {"expires": 30 * 60},
        },
        "sweep holds": {
            "task": "tracking.tasks.sweep_holds",
            "schedule": timedelta(seconds=10),
            "options": {"expires": 10},
        },
        "seal entries": {
            "task": "tracking.tasks.seal_entries",
            "schedule": timedelta(seconds=10),
            "options": {"expires": 10},
        },
        "reconcile": {
            "task": "tracking.tasks.reconcile",
            "schedule": timedelta(minutes=5),
            "options": {"expires": 5 * 60},
        },
        "reconcile everything": {
            "task": "tracking.tasks.reconcile_everything",
            "schedule": crontab(hour="3", minute="17"),
            "options": {"expires": 60 * 60},
        },
        "forget workers": {
            "task": "tracking.tasks.forget_workers",
            "schedule": crontab(minute="57"),
            "options": {"expires": 30 * 60},
        },
        "clear closed holds": {
            "task": "tracking.tasks.clear_holds",
            "schedule": crontab(minute="27"),
            "options": {"expires": 30 * 60},
        },
        "watch loops": {
            "task": "tracking.tasks.watch_loops",
            "schedule": timedelta(seconds=5),
            "options": {"expires": 5},
        },
        "watch how fast agents spend": {
            "task": "tracking.tasks.watch_speed",
            "schedule": timedelta(minutes=1),
            "options": {"expires": 60},
        },
        "refill credits": {
            "task": "tracking.tasks.refill_credits",
            "schedule": timedelta(minutes=1),
            "options": {"expires": 60},
        },
        "clear kept responses": {
            "task": "tracking.tasks.clear_kept_responses",
            "schedule": crontab(hour="3", minute="47"),
            "options": {"expires": 60 * 60},
        },
        "make and drop partitions": {
            "task": "tracking.tasks.keep_partitions",
            "schedule": crontab(minute="7"),
            "options": {"expires": 30 * 60},
        },
    },
)


if not IS_BEAT:
    app.autodiscover_tasks(["tracking"])


@worker_ready.connect
@worker_process_init.connect
def _start_engine(sender: Any = None, **_: Any) -> None:
    """Where tasks run, jobs run: in the worker itself, or in each of its processes."""
    pool = getattr(sender, "pool_cls", None)
    if IS_BEAT or (pool is not None and "prefork" in getattr(pool, "__module__", "")):
        return
    from tracking.queue.engine import engine

    engine.start()


@worker_shutting_down.connect
def _stop_engine(**_: Any) -> None:
    from tracking.queue.engine import engine

    engine.stop()


@worker_ready.connect
def _reconcile_at_start(**_: Any) -> None:
    app.send_task("tracking.tasks.reconcile_everything", expires=60 * 60)


@task_postrun.connect
def _tell_the_supervisor(**_: Any) -> None:
    """Each finished task touches this file; when it grows old the supervisor starts another worker."""
    file = os.environ.get("WFLO_WORKER_PULSE")
    if file:
        Path(file).touch()
