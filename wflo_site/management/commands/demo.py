"""A sample team to look at: ``manage.py demo`` sends it to the running server, ``manage.py demo --remove`` takes it away."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tracking.audit import SYSTEM
from tracking.demo import team as demo
from tracking.demo.sender import Sent
from tracking.errors import Invalid, Unavailable
from tracking.models import Organization, Team


class Command(BaseCommand):
    help = "Load a sample team (three weeks, eight agents) through the running server, or remove it with --remove."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--remove", action="store_true", help="remove the sample team with all its rows")
        parser.add_argument("--url", default=settings.WFLO_PUBLIC_URL, help="address of the running server")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = Organization.objects.order_by("id").first()
        if organization is None:
            raise CommandError("There is no organization yet. Start Wflo once first: make up")
        try:
            if options["remove"]:
                self._remove(organization)
            else:
                self._load(organization, options["url"])
        except (Invalid, Unavailable) as error:
            raise CommandError(error.message) from error

    def _remove(self, organization: Organization) -> None:
        team = demo.demo_team(organization)
        if team is None:
            self.stdout.write("There is no demo team.")
            return
        rows = demo.remove(team, actor=SYSTEM)
        self.stdout.write(f"The demo team is gone, with {rows:,} rows.")

    def _load(self, organization: Organization, url: str) -> None:
        team = demo.begin(organization, actor=SYSTEM)
        begun = time.monotonic()
        try:
            sent = demo.fill(team, url, actor=SYSTEM, told=self._tell)
        except (Invalid, Unavailable):
            self._take_back(team)
            raise
        seconds = time.monotonic() - begun
        self.stdout.write(f"Sent {sent.requests} requests in {seconds:.1f} s. Look at {url}/?team={team.slug}")

    def _tell(self, sent: Sent) -> None:
        if sent.requests % 10 == 0:
            self.stdout.write(f"{sent.requests} requests sent")

    def _take_back(self, team: Team) -> None:
        demo.remove(team, actor=SYSTEM)
