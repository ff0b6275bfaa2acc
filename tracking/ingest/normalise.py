"""Raw spans -> spans whose fields are filled, whatever framework wrote them.

The dialect is chosen for each span alone: one request regularly holds four. First match wins.
"""

from __future__ import annotations

from tracking.ingest.dialects import (
    genai,
    gluellm,
    langfuse,
    langsmith,
    litellm,
    logfire,
    mlflow,
    openinference,
    plain,
    traceloop,
    vercel,
)
from tracking.ingest.dialects.common import read_common, service_facts
from tracking.ingest.dialects.fields import BadField
from wflo.spans import Rejected, Span

NATIVE = "wflo"  # our own events come with their fields filled


def normalise(spans: list[Span]) -> tuple[list[Span], list[Rejected]]:
    """Fill the fields of each span in place. A span with a figure that cannot be true is rejected alone.

    ``Rejected.index`` is the place in the list given.
    """
    kept: list[Span] = []
    rejected: list[Rejected] = []
    resource: object = None
    environment: str | None = None
    release: str | None = None
    for index, span in enumerate(spans):
        if span.convention == NATIVE:
            kept.append(span)
            continue
        if span.resource is not resource:  # one dict is shared by all spans of a resource
            resource = span.resource
            environment, release = service_facts(span.resource)
        span.environment, span.release = environment, release
        try:
            read_common(span)
            read_dialect(span)
        except BadField as bad:
            rejected.append(Rejected(index=index, code=bad.code, message=str(bad)))
        else:
            if span.agent is not None:
                span.agent = span.agent.strip() or None  # crewai's roles are texts from files, line ends and all
            kept.append(span)
    return kept, rejected


def read_dialect(span: Span) -> None:
    """Raises BadField, naming the attribute."""
    attributes = span.attributes
    if "openinference.span.kind" in attributes:
        openinference.read(span)
    elif "langfuse.observation.type" in attributes:
        langfuse.read(span)
    elif "mlflow.spanType" in attributes:
        mlflow.read(span)
    elif "langsmith.span.kind" in attributes:
        langsmith.read(span)
    elif "ai.operationId" in attributes:
        vercel.read(span)
    elif "litellm.call_id" in attributes and span.scope != "litellm":
        litellm.read_host(span)
    elif "gen_ai.operation.name" not in attributes:
        _read_without_operation(span)
    elif "ag2.usage.kind" in attributes:
        plain.read_ag2_accounting(span)
    elif "traceloop.span.kind" in attributes:
        traceloop.read(span)
    elif span.scope == "litellm":
        litellm.read(span)
    elif span.scope.startswith("logfire"):
        _read_logfire(span)
    elif span.scope.startswith("mlflow"):
        genai.read(span)
        mlflow.read_genai(span)
    else:
        traceloop.read_genai(span)


def _read_logfire(span: Span) -> None:
    if span.name.startswith(logfire.STREAM_END) and "logfire.msg_template" in span.attributes:
        logfire.read(span)
    else:
        traceloop.read_genai(span)
        logfire.read_habits(span)


def _read_without_operation(span: Span) -> None:
    attributes = span.attributes
    if "logfire.msg_template" in attributes and span.scope.startswith("logfire"):
        logfire.read(span)
    elif "ag2.usage.kind" in attributes:
        plain.read_ag2_accounting(span)
    elif "traceloop.span.kind" in attributes:
        traceloop.read(span)
    elif span.name == litellm.RAW_NAME and span.scope == "litellm":
        litellm.read_raw(span)
    elif "llm.request.type" in attributes:
        traceloop.read_old(span)
    elif "llm.token_count.prompt" in attributes or "llm.output_messages.0.message.role" in attributes:
        openinference.read(span)  # of a call with more attributes than an SDK keeps, the first are gone: the kind
    elif "llm.provider" in attributes or "llm.tokens.prompt" in attributes or "tool.success" in attributes:
        gluellm.read(span)
    else:
        plain.read(span)
