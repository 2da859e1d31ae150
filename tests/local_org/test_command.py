"""The command: one JSON line, then an org that others can use until it is told to stop."""

from __future__ import annotations

import json
import signal
import sqlite3
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "airflow_provider_sfbulk.local_org"]


def start(*options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def stop(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    rest, errors = process.communicate(timeout=20)
    return process.returncode, rest, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_start_line_is_all_that_is_printed_and_a_signal_ends_it(number: int) -> None:
    process, line = start()
    try:
        assert list(line) == [
            "url",
            "client_id",
            "client_secret",
            "username",
            "password",
            "security_token",
            "refresh_token",
            "private_key",
            "connection",
        ]
        assert line["private_key"].startswith("-----BEGIN PRIVATE KEY-----")
        assert json.loads(line["connection"]) == {
            "conn_type": "salesforce_bulk",
            "host": line["url"],
            "login": line["username"],
            "extra": {
                "auth_flow": "client_credentials",
                "client_id": line["client_id"],
                "client_secret": line["client_secret"],
            },
        }
        with urllib.request.urlopen(f"{line['url']}/services/data/") as answer:
            assert json.load(answer)[0]["version"] == "31.0"
    finally:
        ended = stop(process, number)
    assert ended == (0, "", "")


def test_a_data_file_keeps_the_credentials(tmp_path: Path) -> None:
    lines = []
    for _ in range(2):
        process, line = start("--data", str(tmp_path / "org.sqlite"))
        stop(process, signal.SIGTERM)
        lines.append({key: value for key, value in line.items() if key not in ("url", "connection")})
    assert lines[0] == lines[1]


def test_tls_answers_those_who_trust_its_certificate() -> None:
    process, line = start("--tls")
    try:
        assert json.loads(line["connection"])["extra"]["ca_file"] == line["ca_file"]
        for host in ("localhost", "127.0.0.1"):
            url = line["url"].replace("localhost", host) + "/services/data/"
            trusting = ssl.create_default_context(cafile=line["ca_file"])
            with urllib.request.urlopen(url, context=trusting) as answer:
                assert answer.status == 200
            with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
                urllib.request.urlopen(url)
    finally:
        stop(process, signal.SIGTERM)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--seed", "/nowhere"], "seed folder /nowhere does not exist"),
        (["--schema", "/nowhere.json"], "/nowhere.json"),
        (["--data", "."], ". is not the data file of a local org: unable to open database file"),
        (["--data", "notes.txt"], "notes.txt is not the data file of a local org: file is not a database"),
        (["--data", "other.db"], "other.db is not the data file of a local org: it is a database of something else"),
        (["--port", "65536"], "port is a whole number from 0 to 65535, not 65536"),
    ],
)
def test_what_cannot_be_loaded_ends_the_command_with_a_reason(tmp_path: Path, options: list[str], reason: str) -> None:
    (tmp_path / "notes.txt").write_text("no database, and no file that anybody wants changed")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE dag (id)")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run = subprocess.run([*COMMAND, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("the local org cannot start: ")
    assert reason in run.stderr
    assert run.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    process, line = start()
    try:
        port = line["url"].rsplit(":", 1)[1]
        run = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)
        assert run.returncode == 1
        assert "in use" in run.stderr
    finally:
        stop(process, signal.SIGTERM)


def test_the_containerfile_says_what_works_here_too() -> None:
    """The image is not built here; what it copies is there, and what it starts answers."""
    root = Path(__file__).parents[2]
    lines = [line.split(maxsplit=1) for line in (root / "Containerfile").read_text().splitlines() if line[:1].isupper()]
    for copied in [rest.split()[:-1] for word, rest in lines if word == "COPY"]:
        assert all((root / name).exists() for name in copied)
    said = {word: json.loads(rest) for word, rest in lines if word in ("ENTRYPOINT", "CMD")}
    script = Path(sys.executable).with_name(said["ENTRYPOINT"][0])
    assert said["CMD"][0] == "--port"
    process = subprocess.Popen([str(script), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{line['url']}/services/data/") as answer:
            assert answer.status == 200
    finally:
        assert stop(process, signal.SIGTERM) == (0, "", "")
