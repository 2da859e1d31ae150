"""A PostgreSQL server of the tests' own: real binaries from the package index, a socket in a folder, a password."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "loader"
PASSWORD = "Kq7-swordfish"
WAIT_SECONDS = 60.0


def binaries() -> Path:
    """Find the server's binaries without importing the package that brings them, which would add a system user as root.

    Skips the test where there are none: the package has wheels up to Python 3.12.
    """
    spec = importlib.util.find_spec("pgserver")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the PostgreSQL binaries of the package pgserver")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


@contextmanager
def running() -> Iterator[str]:
    """Start a server, give its socket's folder, and stop it."""
    programs = binaries()
    # A socket's path has 107 characters at most, so not below pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="sfbulk-pg-", dir="/tmp"))
    # PostgreSQL does not run as root, as tests in a container do.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    try:
        password = folder / "password"
        password.write_text(PASSWORD)
        made = subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", USER, "--pwfile", password, "--auth=scram-sha-256",
             "--encoding=UTF8", "--locale=C", "--no-sync"],
            user=user, cwd=folder, env={"PATH": os.defpath}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"PostgreSQL cannot be set up here: {made.stderr[-300:]}")
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-F"],
            user=user, cwd=folder, env={"PATH": os.defpath}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_until_ready(programs, folder, server)
            yield str(folder)
        finally:
            server.send_signal(signal.SIGINT)  # its "fast shutdown": sessions are ended
            server.wait(WAIT_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(programs: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while subprocess.run([programs / "pg_isready", "-q", "-h", folder], check=False).returncode:
        assert server.poll() is None, "PostgreSQL ended while it was starting"
        assert time.monotonic() < until, "PostgreSQL did not get ready"
        time.sleep(0.02)
