"""The command ``sfbulk-demo``: a local org, a real Airflow, a load, an extract, a report, a check.

It needs the extra ``demo`` and no clone: the wheel carries the example DAGs.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from airflow_provider_sfbulk.demo.airports import SCHEMA, SOBJECT
from airflow_provider_sfbulk.demo.org_process import OrgError, OrgProcess
from airflow_provider_sfbulk.demo.report import Mismatch, check, show
from airflow_provider_sfbulk.demo.samples import write_samples
from airflow_provider_sfbulk.demo.stack import AirflowStack, StackError

DAG_ID: Final = "airports"

JOB_SECONDS: Final = 12.0
"""How long the local org takes for a job: long enough to be seen waiting in the triggerer."""


PACKAGE: Final = Path(__file__).resolve().parents[1]

DAG_FOLDERS: Final = (PACKAGE / "example_dags", PACKAGE.parent / "example_dags")
"""Where the example DAGs are: in an installed wheel, in a checkout."""

MARK: Final = ".sfbulk-demo"
"""File that says that a folder is the demo's own, and may be emptied."""

WHAT_TO_SEE: Final = """
Airflow's UI   {ui}   (no login)
  what ran     {ui}/dags/airports/runs/{run}
               click "load": the tab "Salesforce jobs", the link "Salesforce job", the log with the job's progress
  all jobs     {ui}/plugin/salesforce_bulk_jobs
  other DAGs   {ui}/dags
               each can be started with its Trigger button; the files they need lie in {lake}
  connection   salesforce_bulk_default comes from the environment, so it is not in the list; another to the same org:
               {ui}/connections, Add, type "Salesforce Bulk API", with these
               Login URL {org}
               Client id {client_id}
               Client secret {client_secret}
               and after Save the plug icon in its row, Test Connection
Ctrl-C ends Airflow and the local org."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    :return: 0 when everything is as it must be
    """
    options = argparse.ArgumentParser(prog="sfbulk-demo", description=__doc__.partition(":")[2].strip())
    options.add_argument(
        "--home", type=Path, default=Path(".demo"), help="folder for everything it writes; emptied first"
    )
    options.add_argument("--dags", type=Path, default=_example_dags(), help="folder of the DAG files")
    options.add_argument("--ui", action="store_true", help="leave Airflow running until Ctrl-C")
    given = options.parse_args(arguments)
    # Ctrl-C, a plain kill and a closed terminal end alike: through the context managers, which end what was started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _run(given.home.resolve(), given.dags.resolve(), stay=given.ui)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (StackError, OrgError, Mismatch, FileExistsError) as error:
        print(f"\n{error}", file=sys.stderr)  # noqa: T201 - a command's own output
        return 1


def _example_dags() -> Path:
    return next((folder for folder in DAG_FOLDERS if folder.is_dir()), DAG_FOLDERS[0])


def _run(home: Path, dags: Path, *, stay: bool) -> int:
    if not dags.is_dir():
        raise StackError(f"the folder {dags} does not exist: name the one with the example DAGs with --dags")
    make_empty(home)
    lake = home / "files"
    write_samples(lake)
    started = time.monotonic()
    say("starting a local org and Airflow (scheduler, triggerer, dag-processor, API server) …")
    with OrgProcess(schema=SCHEMA, data=home / "org.sqlite", job_seconds=JOB_SECONDS) as org:
        environment = {"AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection, "AIRFLOW_VAR_LAKE": str(lake)}
        with AirflowStack(home / "airflow", dags, environment) as stack:
            up = time.monotonic()
            say(f"both are up after {up - started:.0f} s; running the DAG {DAG_ID} …")
            run_id = stack.start_run(DAG_ID)
            state = stack.finish_run(DAG_ID, run_id)
            show(stack, DAG_ID, run_id, seconds_to_start=up - started)
            try:
                if state != "success":
                    logs = home / "airflow" / "logs"
                    raise Mismatch(f"the DAG run ended {state}; the tasks' logs are under {logs}")
                check(stack, DAG_ID, run_id, records_in_org=org.count(SOBJECT))
            except Mismatch as error:
                if not stay:
                    raise
                say(f"\n{error}")
            if stay:
                shown = {
                    **org.start_line,
                    "ui": stack.url,
                    "run": quote(run_id),
                    "lake": lake,
                    "org": org.start_line["url"],
                }
                say(WHAT_TO_SEE.format(**shown))
                with suppress(KeyboardInterrupt):
                    threading.Event().wait()
                say("stopping …")
    return 0


def make_empty(home: Path) -> None:
    """Make a folder, or empty the one that an earlier demo has made.

    :raises FileExistsError: when there is something else in it
    """
    if home.exists():
        if not (home / MARK).is_file() and any(home.iterdir()):
            raise FileExistsError(f"{home} is not the demo's own folder, so it is left alone: name another with --home")
        shutil.rmtree(home)
    home.mkdir(parents=True)
    (home / MARK).touch()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    """Tell the user something, at once."""
    print(text, flush=True)  # noqa: T201 - a command's own output


if __name__ == "__main__":
    raise SystemExit(main())
