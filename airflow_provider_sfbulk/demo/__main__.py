"""``python -m airflow_provider_sfbulk.demo``: a local org, a real Airflow, a load, an extract, a report, a check."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from airflow_provider_sfbulk.demo.airports import SCHEMA
from airflow_provider_sfbulk.demo.org_process import OrgProcess
from airflow_provider_sfbulk.demo.report import Mismatch, check, show
from airflow_provider_sfbulk.demo.stack import AirflowStack, StackError

DAG_ID: Final = "airports"

JOB_SECONDS: Final = 12.0
"""How long the local org takes for a job: long enough to be seen waiting in the triggerer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    :return: 0 when everything is as it must be
    """
    options = argparse.ArgumentParser(prog="python -m airflow_provider_sfbulk.demo", description=__doc__)
    options.add_argument("--home", type=Path, default=Path(".demo"), help="folder for everything it writes")
    options.add_argument("--dags", type=Path, default=Path("example_dags"), help="folder of the DAG files")
    options.add_argument("--ui", action="store_true", help="leave Airflow running until Ctrl-C")
    given = options.parse_args(arguments)
    # Ctrl-C and a plain kill end alike: through the context managers, which end what was started.
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    try:
        return _run(given.home.resolve(), given.dags.resolve(), stay=given.ui)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (StackError, Mismatch) as error:
        print(f"\n{error}", file=sys.stderr)  # noqa: T201 - a command's own output
        return 1


def _run(home: Path, dags: Path, *, stay: bool) -> int:
    if not dags.is_dir():
        raise StackError(f"there is no folder {dags}: run this where the repository is, or give --dags")
    shutil.rmtree(home, ignore_errors=True)
    folder = home / "files"
    started = time.monotonic()
    say("starting a local org and Airflow (scheduler, triggerer, dag-processor, API server) …")
    with OrgProcess(schema=SCHEMA, job_seconds=JOB_SECONDS) as org:
        environment = {"AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection}
        with AirflowStack(home / "airflow", dags, environment) as stack:
            up = time.monotonic()
            say(f"both are up after {up - started:.0f} s; running the DAG {DAG_ID} …")
            run_id = stack.start_run(DAG_ID, {"folder": str(folder)})
            state = stack.finish_run(DAG_ID, run_id)
            show(stack, DAG_ID, run_id, seconds_to_start=up - started)
            if state == "success":
                check(stack, DAG_ID, run_id, folder)
            elif not stay:
                raise StackError(f"the DAG run ended {state}; the tasks' logs are under {home / 'airflow' / 'logs'}")
            if stay:
                _stay(stack, org)
    return 0


def _stay(stack: AirflowStack, org: OrgProcess) -> None:
    say(
        f"\nAirflow's UI: {stack.url}  (no login)\n"
        f"  the run:    {stack.url}/dags/{DAG_ID}\n"
        f"  connection: {stack.url}/connections  (salesforce_bulk_default comes from the environment)\n"
        f"local org:    {org.start_line['url']}\n"
        "Ctrl-C stops both."
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        say("stopping …")


def _interrupt() -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    """Tell the user something, at once."""
    print(text, flush=True)  # noqa: T201 - a command's own output


if __name__ == "__main__":
    raise SystemExit(main())
