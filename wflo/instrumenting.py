"""One line that has an OpenTelemetry set-up send here too: ``wflo.instrument()``."""

from __future__ import annotations

from typing import Any

from wflo import config

_added: dict[int, Any] = {}  # by provider: what was added to it


def instrument(provider: Any = None, *, endpoint: str = "", api_key: str = "") -> Any:
    """Have every span of OpenTelemetry's ``provider`` (the global one; one is made where there is none) sent to Wflo as well.

    ``endpoint`` and ``api_key``: those of ``configure()`` or WFLO_ENDPOINT and WFLO_API_KEY, unless given. A second call for
    the same provider changes nothing. Gives the span processor, to flush or shut down by hand; the process's end does both.
    Raises ValueError without an endpoint, ImportError saying what to install.
    """
    settings = config.current()
    address, key = (endpoint or settings.endpoint).rstrip("/"), api_key or settings.api_key
    if not address:
        raise ValueError("endpoint: no address to send to. Set WFLO_ENDPOINT, or give endpoint=.")
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ImportError('This needs OpenTelemetry: pip install "wflo[tracing]"') from error
    found = provider or trace.get_tracer_provider()
    if not hasattr(found, "add_span_processor"):
        found = TracerProvider()
        trace.set_tracer_provider(found)
    if id(found) not in _added:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{address}/v1/traces", headers=headers))
        found.add_span_processor(processor)
        _added[id(found)] = processor
    return _added[id(found)]
