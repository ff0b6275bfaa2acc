"""What a person reads when Wflo has started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wflo_site.launch import Launch

RULE = "-" * 72
# what is created once, its place in what the start command says, the variable that can give it
ONCE = (
    ("sign in", "admin_email", ""),
    ("password", "admin_password", "WFLO_ADMIN_PASSWORD"),
    ("API key", "api_key", "WFLO_API_KEY"),
)


def banner(launch: Launch, created: Mapping[str, str], *, places: Sequence[Path], answers: bool) -> Iterator[str]:
    """``created``: what this start made: admin_email, admin_password, api_key; empty on later starts.

    ``places``: the folders that hold the data.
    """
    yield RULE
    if answers:
        yield f"Wflo runs at {launch.address}"
    else:
        yield f"Wflo does not answer at {launch.address} yet: the lines of web above say why."
    yield f"Data is kept in {' and '.join(map(str, places))}"
    shown = [(label, _shown(launch, created[name], given)) for label, name, given in ONCE if name in created]
    if shown:
        yield ""
        yield "Written down here once, so keep it:"
        yield from (f"  {label:<9} {value}" for label, value in shown)
    if created.get("api_key"):
        yield ""
        yield "Send traces from any OpenTelemetry SDK:"
        yield f"  export OTEL_EXPORTER_OTLP_ENDPOINT={launch.address}"
        yield f'  export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer {created["api_key"]}"'
    yield ""
    yield "Ctrl-C stops it."
    yield RULE


def _shown(launch: Launch, value: str, given: str) -> str:
    """What the person set in the environment is not repeated in a log."""
    return f"as given in {given}" if launch.environ.get(given, "").strip() else value
