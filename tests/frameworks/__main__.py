"""python -m tests.frameworks: an environment for each framework (FRAMEWORKS, else all), in .frameworks/<name>.

Nothing is done for one whose requirements have not changed. uv is quick; where it cannot, pip does the same.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from requirements.install import as_pip_is_told
from tests.frameworks import table


def install(name: str) -> None:
    wanted, python = table.requirements(name), table.python(name)
    stamp, digest = table.HOME / name / "installed", hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    sys.stderr.write(f"Installing {name} in {python.parent.parent.relative_to(table.ROOT)}.\n")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(table.HOME / name)], check=True)
    if not _with_uv(python, wanted):
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(wanted)]
        subprocess.run(pip, check=True)
    stamp.write_text(digest)


def _with_uv(python: Path, wanted: Path) -> bool:
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), "-r", str(wanted)]
    return subprocess.run(uv, env=as_pip_is_told(), check=False).returncode == 0


for chosen in table.chosen():
    install(chosen)
