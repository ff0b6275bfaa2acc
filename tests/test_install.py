"""What make installs: locked, hashed, from wherever this machine's pip gets its packages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["server", "dev", "uv"])
def test_every_package_is_pinned_with_hashes_and_no_host_is_named(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert "index" not in re.sub(r"(?m)^\S+==", "", text)
    for package in re.split(r"\n(?=\S)", text.strip()):
        first, *hashes = [part.strip() for part in package.split("\\\n")]
        assert re.fullmatch(r"[a-z0-9._\[\],-]+==\S+( ; .+)?", first), first
        assert hashes, first
        assert all(part.startswith("--hash=sha256:") for part in hashes)


def test_the_development_set_holds_the_server_set_at_the_same_versions() -> None:
    server, dev = (
        set(re.findall(r"(?m)^(\S+==\S+)", (ROOT / "requirements" / f"{name}.txt").read_text()))
        for name in ("server", "dev")
    )
    assert server <= dev


def test_an_old_python_is_told_so() -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 2); sys.version = '3.9.2 (old)'; sys.argv = ['install.py', 'server'];"
        f"runpy.run_path({str(ROOT / 'requirements' / 'install.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Wflo needs Python 3.11 or newer; this is 3.9.2: install one,")
    assert done.stderr.count("\n") == 1
