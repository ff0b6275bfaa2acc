"""Jobs as these clients read them."""

from __future__ import annotations

from typing import Any

from tracking.jobs import costs
from tracking.jobs.calls import Made, content_of
from tracking.jobs.costs import Summary
from tracking.jobs.lifecycle import Finished
from tracking.models import Job, JobCall


def made_json(job: Job) -> dict[str, Any]:
    return {
        "job_id": str(job.id),
        "team_id": job.team.slug,
        "job_type": job.job_type,
        "status": job.status,
        "created_at": job.created_at.isoformat(),
    }


def job_json(job: Job) -> dict[str, Any]:
    return {
        **made_json(job),
        "user_id": job.user_id or None,
        "organization_id": job.team.organization.slug,
        "external_task_id": job.external_task_id or None,
        "started_at": job.started_at and job.started_at.isoformat(),
        "completed_at": job.completed_at and job.completed_at.isoformat(),
        "metadata": job.metadata,
        "error_message": job.error or None,
        "credit_applied": job.credit_applied,
        "model_groups_used": job.model_groups,
    }


def answer_json(made: Made) -> dict[str, Any]:
    row = made.row
    response: dict[str, Any] = {"content": content_of(made.message), "finish_reason": made.finish_reason}
    if made.message.get("tool_calls"):
        response["tool_calls"] = made.message["tool_calls"]
    return {
        "call_id": str(row.id),
        "response": response,
        "metadata": {
            "tokens_used": row.input_tokens + row.output_tokens,
            "prompt_tokens": row.input_tokens,
            "completion_tokens": row.output_tokens,
            "latency_ms": row.latency_ms,
            "model_group": row.model_group,
            "model": row.model_group,
            "resolved_model": row.model,
            "cost_usd": number(row.client_cost_usd),
        },
    }


def finished_json(done: Finished) -> dict[str, Any]:
    by_agent: dict[str, int] = {}
    for row in done.calls:
        agent = row.purpose.rpartition("_call_")[0] or row.purpose.rpartition("_message_")[0]
        if agent:
            by_agent[agent] = by_agent.get(agent, 0) + 1
    return {
        "job_id": str(done.job.id),
        "status": done.job.status,
        "completed_at": done.job.completed_at and done.job.completed_at.isoformat(),
        "costs": {
            **summary_json(done.summary),
            "credit_applied": done.job.credit_applied,
            "credits_remaining": done.credits_left,
        },
        "calls": [_call_json(row) for row in done.calls],
        "calls_by_agent": by_agent,
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """``total_cost_usd`` is what the customer pays for the calls whose price is known; ``cost_status`` says if all are."""
    return {
        "total_calls": summary.calls,
        "successful_calls": summary.calls - summary.failed,
        "failed_calls": summary.failed,
        "total_tokens": summary.tokens,
        "total_cost_usd": float(summary.client_usd),
        "provider_cost_usd": float(summary.provider_usd),
        "cost_status": summary.cost_status,
        "unpriced_calls": summary.unpriced,
        "avg_latency_ms": summary.latency_ms,
    }


def breakdown_json(job: Job) -> dict[str, Any]:
    return {
        "job_id": str(job.id),
        "team_id": job.team.slug,
        "job_type": job.job_type,
        "status": job.status,
        "costs": {
            **summary_json(costs.summary_of(job)),
            "breakdown": [
                {
                    "call_id": str(row.id),
                    "model": row.model or row.model_group,
                    "model_group": row.model_group,
                    "purpose": row.purpose or None,
                    "prompt_tokens": row.input_tokens,
                    "completion_tokens": row.output_tokens,
                    "cost_usd": number(row.client_cost_usd),
                    "provider_cost_usd": number(row.cost_usd),
                    "error": row.error or None,
                    "created_at": row.created_at.isoformat(),
                }
                for row in costs.calls_of(job)
            ],
        },
    }


def _call_json(row: JobCall) -> dict[str, Any]:
    return {
        "call_id": str(row.id),
        "purpose": row.purpose or None,
        "model_group": row.model_group,
        "tokens": row.input_tokens + row.output_tokens,
        "latency_ms": row.latency_ms,
        "error": row.error or None,
    }


def number(value: Any) -> float | None:
    """Unknown stays null."""
    return None if value is None else float(value)
