"""``python -m tests.witnesses [--write] [--npm] [CLIENT …]``: a table of what clients of others can do in a local org.

Each client is installed into an environment of its own, by uv where there is one, below the folder ``local-org-witnesses``
of the machine's temporary files; the next run finds it there. ``--npm`` adds those from npm, which ``tests/npm`` runs:
Node.js 22.15 or newer has to be on the PATH. ``--write`` puts the table into ``docs/local-org-conformance.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.npm import __main__ as npm_clients
from tests.npm import salesforce_cli

HERE = Path(__file__).parent
ENVIRONMENTS = Path(tempfile.gettempdir()) / "local-org-witnesses"
DOCS = HERE.parents[1] / "docs" / "local-org-conformance.md"
START, END = "<!-- witnesses -->", "<!-- end of witnesses -->"

CLIENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "simple-salesforce": ("simple_salesforce_all", ("simple-salesforce>=1.12.6",)),
    "aiosalesforce": ("aiosalesforce_all", ("aiosalesforce>=0.6",)),
    "aio-sf": ("aio_sf_all", ("aio-sf>=0.1.0b14",)),
    "salesforce-bulk": ("salesforce_bulk_all", ("salesforce-bulk>=2.2", "setuptools")),
    "kinetic-core": ("kinetic_core_all", ("kinetic-core>=2.1",)),
    "sfbulk2": ("sfbulk2_all", ("sfbulk2>=0.8", "pandas", "requests", "faker", "pyperclip")),
    "apache-airflow-providers-salesforce": (
        "airflow_salesforce",
        ("apache-airflow-providers-salesforce>=5.11", "apache-airflow>=3.3.2"),
    ),
    "airbyte-source-salesforce": ("airbyte_reader", ("airbyte-source-salesforce>=2.10.3",)),
}
"""Client to its script and to what has to be installed for it."""


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """Return the Python of a client's environment, which is made when it is not there."""
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        venv.create(folder, with_pip=shutil.which("uv") is None, clear=True)
        uv = shutil.which("uv")
        install = [uv, "pip", "install", "-q", "-p", str(python)] if uv else [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*install, *packages], check=True)
        (folder / "done").touch()
    return python


def witness(name: str) -> tuple[str, list[dict[str, Any]]]:
    """Run a client against a new org; return its version and what came of each check."""
    script, packages = CLIENTS[name]
    python = environment(name, packages)
    asked = f"import importlib.metadata as m; print(m.version({name!r}))"
    version = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    with LocalOrg() as org:
        line = json.dumps(org.start_line())
        ended = subprocess.run(
            [str(python), f"{script}.py"],
            cwd=HERE / "clients",
            env={**os.environ, "LOCAL_ORG": line, "AIRFLOW_HOME": str(ENVIRONMENTS / "airflow")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if org.core.mistakes:
            raise org.core.mistakes[0]
    found = [json.loads(each) for each in ended.stdout.splitlines() if each.startswith('{"check"')]
    if any(each["error"] for each in found) or not found:
        sys.stderr.write(ended.stderr[-4000:])
    return version, found or [{"check": "start", "error": ended.stderr.strip().splitlines()[-1][:200]}]


def npm_outcomes() -> list[dict[str, Any]]:
    """Run the clients from npm, which are installed beside their scripts."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SystemExit("witnesses: node and npm are needed for --npm, and not on the PATH")
    for folder in (npm_clients.HERE, salesforce_cli.HERE):
        install = [npm, "install", "--no-audit", "--no-fund", "--silent", "--no-package-lock"]
        subprocess.run(install, cwd=folder, check=True)
    _, whole = npm_clients.run(node, [], page_records=None)
    return [*whole, *salesforce_cli.outcomes(node)]


def main() -> int:
    """Run the clients, print the table.

    :return: 1 when a check failed
    """
    options = argparse.ArgumentParser(prog="tests.witnesses")
    options.add_argument("clients", nargs="*", choices=[*CLIENTS, []], help="all when none is named")
    options.add_argument("--npm", action="store_true", help="also jsforce and the Salesforce CLI")
    options.add_argument("--write", action="store_true", help="put the table into the docs")
    asked = options.parse_args()
    lines = ["| client | check | |", "| --- | --- | --- |"]
    failed = 0
    for name in asked.clients or CLIENTS:
        version, checks = witness(name)
        for each in checks:
            failed += bool(each["error"])
            lines.append(f"| {name} {version} | {each['check']} | {each['error'].replace('|', '/') or 'ok'} |")
            print(lines[-1], flush=True)
    for outcome in npm_outcomes() if asked.npm else []:
        failed += bool(outcome["error"] and not outcome["known"])
        said = f"not, and known: {outcome['known']}" if outcome["known"] else outcome["error"] or "ok"
        lines.append(f"| {outcome['client']} | {outcome['operation']} | {said.splitlines()[0].replace('|', '/')} |")
        print(lines[-1], flush=True)
    if asked.write:
        text = DOCS.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        after = rest.partition(END)[2]
        DOCS.write_text(f"{before}{START}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
