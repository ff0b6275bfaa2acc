"""What is installed is what was looked at: versions and hashes, no addresses, no stolen releases."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
LOCKS = sorted(REQUIREMENTS.glob("*.txt"))
STOLEN = {("litellm", "1.82.7"), ("litellm", "1.82.8")}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_has_a_version_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links|-f)\b", text, re.MULTILINE)
    packages = [entry for entry in re.split(r"\n(?=\S)", text) if entry.strip() and not entry.startswith("#")]
    assert packages
    for entry in packages:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_stolen_releases_are_not_among_them() -> None:
    pinned = {
        (name.lower(), version)
        for lock in LOCKS
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", lock.read_text(), re.MULTILINE)
    }
    assert pinned
    assert pinned.isdisjoint(STOLEN)


STARTS = """
import sys
class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"{name} is not among the server's packages")
sys.meta_path.insert(0, Closed())
import wflo_site.asgi, wflo_site.urls, wflo_site.celery, tracking.tasks
"""


def test_the_server_starts_with_its_own_packages(tmp_path: Path) -> None:
    """Tests run with more of them than `make up` installs."""
    pinned = {
        _plain(name)
        for name in re.findall(r"^[A-Za-z0-9._-]+", (REQUIREMENTS / "server.txt").read_text(), re.MULTILINE)
    }
    others = [name for name, of in packages_distributions().items() if not {_plain(one) for one in of} & pinned]
    assert "pytest" in others
    done = subprocess.run(
        [sys.executable, "-c", STARTS, *others],
        cwd=REQUIREMENTS.parent,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "wflo_site.settings", "WFLO_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
