"""Which Chromium the browser tests drive; ``python -m tests.chromium`` gets one when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def path() -> str | None:
    """WFLO_CHROMIUM, else the system's; None: the one that Playwright keeps."""
    given = os.environ.get("WFLO_CHROMIUM", "")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    if path() is not None:
        return 0
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        if Path(playwright.chromium.executable_path).exists():
            return 0
    if subprocess.call([sys.executable, "-m", "playwright", "install", "chromium"]) != 0:
        sys.exit("The browser tests need Chromium: install your system's package, or set WFLO_CHROMIUM to its path.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
