"""What a person reads when Wflo has started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wflo_site.launch import Launch

RULE = "-" * 72


def banner(launch: Launch, created: Mapping[str, str], *, answers: bool) -> Iterator[str]:
    """``created``: what this start made: admin_email, admin_password, api_key; empty on later starts."""
    yield RULE
    if answers:
        yield f"Wflo runs at {launch.address}"
    else:
        yield f"Wflo does not answer at {launch.address} yet: the lines of web above say why."
    yield f"Data is kept in {launch.home}"
    if created:
        yield ""
        yield "Written down here once, so keep it:"
        for label, name in (("sign in", "admin_email"), ("password", "admin_password"), ("API key", "api_key")):
            if created.get(name):
                yield f"  {label:<9} {created[name]}"
    if created.get("api_key"):
        yield ""
        yield "Send traces from any OpenTelemetry SDK:"
        yield f"  export OTEL_EXPORTER_OTLP_ENDPOINT={launch.address}"
        yield f'  export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer {created["api_key"]}"'
    yield ""
    yield "Ctrl-C stops it."
    yield RULE
