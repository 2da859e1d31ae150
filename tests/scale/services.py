"""The servers that an Airflow of several machines leans on, each real, on loopback, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
USER: Final = "airflow"
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.05
DISK_BYTES: Final = 64_000_000


class ServiceError(RuntimeError):
    """A server is not installed, or did not start."""


@contextmanager
def postgresql(folder: Path) -> Iterator[int]:
    """Run a PostgreSQL server with the database ``airflow``; give its port."""
    programs = _postgresql_programs()
    folder.mkdir(parents=True)
    # PostgreSQL does not run as root, as a container does.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [programs / program, *arguments],
            user=user,
            cwd=folder,
            env={"PATH": os.defpath},
            capture_output=True,
            check=True,
        )

    run("initdb", "-D", folder / "data", "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    port = free_port()
    options: list[str | Path] = [
        "-c",
        f"listen_addresses={HOST}",
        "-p",
        str(port),
        "-k",
        folder,
        "-c",
        "max_connections=300",
        "-F",
    ]
    with process([programs / "postgres", "-D", folder / "data", *options], folder / "postgres.log", port, user=user):
        is_ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", HOST, "-p", str(port)]
        wait_until(lambda: not subprocess.run(is_ready, check=False).returncode, "PostgreSQL is ready")
        run("psql", "-q", "-h", HOST, "-p", str(port), "-U", USER, "-d", "postgres", "-c", f"CREATE DATABASE {USER}")
        yield port


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """Run a Redis server that keeps nothing on disk; give its port."""
    program = shutil.which("redis-server")
    if program is None:
        raise ServiceError("redis-server is missing: install the system's package redis-server")
    folder.mkdir(parents=True)
    port = free_port()
    with process(
        [program, "--bind", HOST, "--port", str(port), "--save", "", "--dir", folder], folder / "redis.log", port
    ):
        yield port


@contextmanager
def s3(folder: Path) -> Iterator[int]:
    """Run an S3 server that keeps its objects in memory; give its port."""
    folder.mkdir(parents=True)
    port = free_port()
    with process([sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)], folder / "s3.log", port):
        yield port


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Make a folder that is a disk of ``DISK_BYTES``; give whether it is one, since that takes a right to mount."""
    folder.mkdir(parents=True)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder)
    is_mounted = not subprocess.run(mount, capture_output=True, check=False).returncode
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(("umount", "-l", folder), check=False)


@contextmanager
def process(command: Sequence[str | Path], log: Path, port: int, *, user: str | None = None) -> Iterator[None]:
    """Run a server until the end of the block; it is there when its port takes connections."""
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            user=user,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _is_listening(port, server, log), f"{Path(command[0]).name} listens")
        yield
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_SECONDS)
        server.kill()
        server.wait()


def wait_until(is_so: Callable[[], object], what: str, *, seconds: float = READY_SECONDS) -> None:
    """Look until something is so.

    :raises ServiceError: when it is not after ``seconds``
    """
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise ServiceError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(LOOK_SECONDS)


def free_port() -> int:
    """Give a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_listening(port: int, server: subprocess.Popen[bytes], log: Path) -> bool:
    if server.poll() is not None:
        raise ServiceError(f"a server ended with {server.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _postgresql_programs() -> Path:
    found = [Path(path).resolve().parent for path in (shutil.which("initdb"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    programs = next((each for each in found if (each / "pg_isready").exists()), None)
    if programs is None:
        raise ServiceError("the PostgreSQL server is missing: install the system's package postgresql")
    return programs
