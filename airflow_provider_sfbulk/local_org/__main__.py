"""``python -m airflow_provider_sfbulk.local_org``: an org that runs until it is stopped."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    options = argparse.ArgumentParser(
        prog="sfbulk-local-org",
        description="A strict local Salesforce on loopback. Prints one JSON line with its address and credentials.",
    )
    options.add_argument("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    options.add_argument("--seed", metavar="FOLDER", help="folder with one <sObject>.csv each")
    options.add_argument("--schema", metavar="FILE", help="JSON file with describe answers of further objects")
    options.add_argument("--data", metavar="FILE", help="SQLite file that outlives a restart, credentials included")
    options.add_argument(
        "--job-seconds", metavar="N", type=float, default=0.0, help="how long a job takes; 0, the default, is at once"
    )
    options.add_argument(
        "--random-seed", metavar="N", type=int, help="the same seed gives a new org the same id and credentials"
    )
    options.add_argument("--tls", action="store_true", help="answer https; the start line names the ca_file")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an org until SIGTERM or SIGINT.

    :return: exit status
    """
    options = parser().parse_args(arguments)
    try:
        from airflow_provider_sfbulk.local_org import LocalOrg  # noqa: PLC0415 - what it needs may be missing
    except ModuleNotFoundError as missing:
        print(missing, file=sys.stderr)  # noqa: T201 - a command's own output
        return 1
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        org = LocalOrg(
            port=options.port,
            seed=options.seed,
            schema=options.schema,
            data=options.data,
            job_seconds=options.job_seconds,
            tls=options.tls,
            random_seed=options.random_seed,
        ).start()
    except (OSError, ValueError) as error:
        print(f"the local org cannot start: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
        return 1
    print(json.dumps(org.start_line()), flush=True)  # noqa: T201 - a command's own output
    stopping.wait()
    org.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
