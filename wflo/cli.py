"""The command ``wflo``."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        import click

        from wflo.agents.cli import agents
    except ImportError as error:
        sys.exit(f'wflo agents needs more than the bare library ({error.name} is missing): pip install "wflo[agents]"')

    @click.group()
    @click.version_option(package_name="wflo")
    def wflo() -> None:
        """Wflo: see, pay for and steer your AI agents."""

    wflo.add_command(agents)
    wflo()
