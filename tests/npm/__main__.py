"""``python -m tests.npm [--cli]``: clients from npm against a local org, and a table of what they could do.

Needs Node.js and npm; the Salesforce CLI needs Node.js 22.15 or newer. The packages come from npm's registry, into
``node_modules`` beside this file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.npm import salesforce_cli

HERE = Path(__file__).parent


def main() -> int:
    """Install, run, print.

    :return: 1 when something failed or cannot be run
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        print("npm-clients: npm and node are needed, and not on the PATH", file=sys.stderr)
        return 1
    with_cli = "--cli" in sys.argv[1:]
    for folder in [HERE, salesforce_cli.HERE] if with_cli else [HERE]:
        install = [npm, "install", "--no-audit", "--no-fund", "--silent", "--no-package-lock"]
        subprocess.run(install, cwd=folder, check=True)
    whole, outcomes = run(node, [], page_records=None)
    paged, more = run(node, ["pages"], page_records=2)
    more += salesforce_cli.outcomes(node) if with_cli else []
    for outcome in outcomes + more:
        verdict = f"not, and known: {outcome['known']}" if outcome["known"] else outcome["error"] or "pass"
        print(f"{outcome['client']:<16} {outcome['operation']:<44} {verdict}")
    failed = [outcome for outcome in outcomes + more if outcome["error"] and not outcome["known"]]
    print(f"{len(failed)} of {len(outcomes + more)} fail")
    return int(bool(failed) or not outcomes or not more or whole or paged)


def run(node: str, arguments: list[str], *, page_records: int | None) -> tuple[int, list[dict[str, Any]]]:
    """Run the clients against a new org; return the exit status and what came of each operation.

    :param page_records: records of a result page; None: as the org has it
    """
    with LocalOrg() as org:
        if page_records is not None:
            org.core.page_records = page_records
        ended = subprocess.run(
            [node, "clients.js", *arguments],
            cwd=HERE,
            env={**os.environ, "LOCAL_ORG": json.dumps(org.start_line())},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=300,
        )
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    raise SystemExit(main())
