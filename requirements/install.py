"""Makes .venv and puts the locked packages of one set into it: ``python requirements/install.py server`` (or dev).

Only Python is needed: uv comes from its own lock and is quick; when it cannot get at the packages, pip does the same
work more slowly. Nothing is done when the lock has not changed since. Runs on old Pythons too, to say so.
"""

import hashlib
import os
import subprocess
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
INCLUDES = {"server": ("server",), "dev": ("dev", "server")}
UV_SECONDS = 300


def main(name):
    if sys.version_info < OLDEST:
        sys.exit(
            f"Wflo needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}:"
            " install one, or say which with PYTHON=/path/to/python."
        )
    lock = os.path.join(ROOT, "requirements", name + ".txt")
    if _is_done(name) and os.path.exists(PYTHON):
        return
    if not _works():
        _make_venv()
    sys.stderr.write(f"Installing the packages of requirements/{name}.txt.\n")
    if not _with_uv(lock) and not _with_pip(lock):
        sys.exit("The packages could not be installed: see the lines above (network, package index, disk).")
    _know_the_checkout()
    for part in INCLUDES[name]:
        with open(_stamp(part), "w") as file:
            file.write(_digest(part))


def _digest(name):
    with open(os.path.join(ROOT, "requirements", name + ".txt"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _stamp(name):
    return os.path.join(VENV, "installed-" + name)


def _is_done(name):
    try:
        with open(_stamp(name)) as file:
            return file.read() == _digest(name)
    except OSError:
        return False


def _works():
    """Whether .venv has a Python new enough (one made elsewhere, or by a Python since removed, has not)."""
    test = f"import sys, pip; sys.exit(sys.version_info < {OLDEST!r})"
    return os.path.exists(PYTHON) and subprocess.call([PYTHON, "-c", test], stderr=subprocess.DEVNULL) == 0


def _make_venv():
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip()
        if "ensurepip" in said:
            sys.exit("This Python cannot make virtual environments: install its venv package (python3-venv on Debian).")
        sys.exit(f"{VENV} could not be made: {said.splitlines()[-1] if said else 'no reason was given'}")


def _know_the_checkout():
    """Programs of .venv/bin, such as pytest, find our packages from wherever they are started."""
    code = "import sys, sysconfig; sys.stdout.write(sysconfig.get_paths()['purelib'])"
    where = subprocess.check_output([PYTHON, "-c", code]).decode()
    with open(os.path.join(where, "wflo-checkout.pth"), "w") as file:
        file.write(ROOT + "\n")


def _with_uv(lock):
    uv_lock = os.path.join(ROOT, "requirements", "uv.txt")
    got = subprocess.call([PYTHON, "-m", "pip", "install", "-qq", "--require-hashes", "-r", uv_lock])
    if got != 0:
        return False
    command = [PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", PYTHON, "--require-hashes", "-r", lock]
    try:
        done = subprocess.call(command, env=as_pip_is_told(), timeout=UV_SECONDS)
    except subprocess.TimeoutExpired:
        done = 1
    if done != 0:
        sys.stderr.write("uv could not install them; pip tries.\n")
    return done == 0


def _with_pip(lock):
    return subprocess.call([PYTHON, "-m", "pip", "install", "--require-hashes", "--quiet", "-r", lock]) == 0


def as_pip_is_told():
    """uv does not read pip's settings: index, extra places and certificate are handed on under uv's names."""
    environ = dict(os.environ)
    said = subprocess.run([PYTHON, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    told = {}
    for line in said.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition("=")
        told[key.rpartition(".")[2]] = value.strip("'\"").replace("\\n", " ")
    for pip_name, uv_name in (
        ("index-url", "UV_DEFAULT_INDEX"),
        ("extra-index-url", "UV_INDEX"),
        ("find-links", "UV_FIND_LINKS"),
        ("cert", "SSL_CERT_FILE"),
    ):
        if told.get(pip_name):
            environ.setdefault(uv_name, told[pip_name])
    environ.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # the hashes decide what is right
    return environ


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in INCLUDES:
        sys.exit(f"Say which: {', '.join(sorted(INCLUDES))}.")
    main(sys.argv[1])
