"""``sfbulk``: load, extract, jobs, describe, login-test and explain, each a few calls of :class:`BulkClient`.

Exit status: 0 done; 1 records or jobs failed; 2 the arguments, the input or the request are wrong; 3 the login is; 4 try
later; 5 anything else.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.check.report import CheckReport
from airflow_provider_sfbulk.client.errors import (
    JobError,
    JobTimeoutError,
    LoginError,
    RequestRefusedError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.faces.options import RuleOptions
from airflow_provider_sfbulk.client.models import SOURCE_FORMATS, FileFormat, JobInfo, Operation
from airflow_provider_sfbulk.client.protocol.org import read_api_usage
from airflow_provider_sfbulk.command.explain import explanations
from airflow_provider_sfbulk.command.files import NewFile, query_file, read_query
from airflow_provider_sfbulk.command.left import abort_jobs, left_jobs
from airflow_provider_sfbulk.command.screen import Screen

STATUS: Final[Mapping[type[SfBulkError], int]] = {
    JobTimeoutError: 4,
    TransientError: 4,
    JobError: 1,
    SourceError: 2,
    RequestRefusedError: 2,
    LoginError: 3,
    SfBulkError: 5,
}
"""Exit status by error; the first class that fits."""

SHOWN_ERRORS: Final = 5
JOB_FACTS: Final = ("id", "created", "object", "operation", "state")
FIELD_FACTS: Final = ("name", "type", "length", "createable", "updateable", "nillable", "externalId", "referenceTo")


class _Group(TyperGroup):
    """Accepts common options after the command, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move ``--json`` and ``--conn-id`` to the front."""
        front, rest, ends = [], [], args.index("--") if "--" in args else len(args)
        left = iter(args[:ends])
        for each in left:
            if each == "--json" or each.startswith("--conn-id="):
                front.append(each)
            elif each == "--conn-id":
                front += [each, *islice(left, 1)]
            else:
                rest.append(each)
        return super().parse_args(ctx, [*front, *rest, *args[ends:]])


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Salesforce Bulk API from the shell. Signs in with SFBULK_ environment variables or an Airflow connection.",
)


@app.callback()
def main(
    context: typer.Context,
    conn_id: Annotated[
        str | None,
        typer.Option("--conn-id", help="Airflow connection to sign in with, instead of SFBULK_ environment variables."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Read the options that all commands have in common."""
    # Airflow, which is imported for a connection, would print log lines among the results.
    logging.getLogger("airflow_provider_sfbulk").setLevel(logging.WARNING)
    context.obj = CommandRun(conn_id, Screen(as_json=as_json))


class CommandRun:
    """One run of the command.

    :param conn_id: an Airflow connection, or None for the environment
    """

    def __init__(self, conn_id: str | None, screen: Screen) -> None:
        self._conn_id = conn_id
        self.screen = screen

    @contextmanager
    def client(self) -> Iterator[BulkClient]:
        """Yield the client; print an error's message, and end with its exit status.

        :raises typer.Exit: with the status
        """
        try:
            with self._made() as client:
                yield client
        except SfBulkError as error:
            self.screen.error(error)
            if isinstance(error, LoginError) and self._conn_id is None:
                self.screen.hint("Or sign in with an Airflow connection: sfbulk --conn-id ID")
            raise typer.Exit(next(code for kind, code in STATUS.items() if isinstance(error, kind))) from error

    def _made(self) -> BulkClient:
        if self._conn_id is None:
            return BulkClient.from_env()
        from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415 - takes seconds

        from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook  # noqa: PLC0415 - likewise

        try:
            return SalesforceBulkHook(self._conn_id).get_conn()
        except AirflowNotFoundException as error:
            raise SourceError(f"this Airflow has no connection {self._conn_id!r:.100}") from error


@app.command()
def load(
    context: typer.Context,
    sobject: Annotated[str, typer.Argument(help="API name of the object, such as Account.")],
    file: Annotated[
        Path, typer.Argument(help="CSV, JSON Lines or Parquet file. CSV and JSON Lines may be compressed (.gz, .zst).")
    ],
    operation: Annotated[Operation, typer.Option(help="What to do with the records.")] = Operation.INSERT,
    source_format: Annotated[
        str | None, typer.Option(help=f"Format of the file, if its name does not show it: {', '.join(SOURCE_FORMATS)}.")
    ] = None,
    external_id: Annotated[str | None, typer.Option(help="Field that an upsert matches records by.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--map", help="Rename a column (SOURCE=Field__c) or drop it (SOURCE=). Repeatable."),
    ] = None,
    clear_nulls: Annotated[
        bool, typer.Option(help="Clear the field for a null value, instead of leaving it unchanged.")
    ] = False,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of datetimes without one, such as Europe/Berlin.")
    ] = None,
    skip_unchanged: Annotated[
        bool, typer.Option("--skip-unchanged", help="In an update or upsert, send only rows that differ from the org.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only check the file against the object; send nothing. Exits with 1 if rows would fail."
        ),
    ] = False,
    failed: Annotated[Path | None, typer.Option(help="Write failed rows to this CSV file.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait. The jobs continue after that.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the jobs have ended.")] = True,
) -> None:
    """Load a file into Salesforce. Running an insert twice loads the records twice: the command remembers nothing."""
    session: CommandRun = context.obj
    with (
        session.client() as client,
        session.screen.progress(f"{operation} {sobject}") as show,
        NewFile(failed, reads=file) if failed is not None else nullcontext() as failed_file,
    ):
        if failed is not None and not wait:
            raise SourceError(
                "--failed cannot be combined with --no-wait: failed rows are known only when the jobs have ended"
            )
        rules: RuleOptions = {
            "column_mapping": _mapping(column),
            "nulls": "clear" if clear_nulls else "leave",
            "timezone": timezone,
        }
        if check:
            if failed is not None:
                raise SourceError("--failed cannot be combined with --check, which sends no rows")
            if skip_unchanged:
                raise SourceError("--skip-unchanged cannot be combined with --check, which sends no rows")
            found = client.ingest.check(
                sobject, operation, file, external_id_field=external_id, source_format=source_format, **rules
            )
            _show_check(session.screen, found)
        result = client.ingest.perform(
            sobject,
            operation,
            file,
            external_id_field=external_id,
            source_format=source_format,
            wait=False,
            timeout=timeout,
            skip_unchanged=skip_unchanged,
            **rules,
        )
        unchanged = {"unchanged": result.unchanged_count} if skip_unchanged else {}
        if not wait:
            session.screen.facts({"job_ids": result.job_ids, **unchanged})
            return
        result.wait(timeout=timeout, on_progress=show)
        if failed_file is not None and result.failed_count:
            failed_file.write(result.failed_records)
        reasons: dict[str, int] = {}
        for error in result.errors:
            reasons[error.status_code] = reasons.get(error.status_code, 0) + 1
    session.screen.facts(
        {
            "job_ids": result.job_ids,
            "successful": result.successful_count,
            "failed": result.failed_count,
            "unprocessed": result.unprocessed_count,
            **unchanged,
            "errors": reasons,
            "failed_file": str(failed) if failed is not None and result.failed_count else None,
        }
    )
    raise typer.Exit(0 if result.is_successful else 1)


def _show_check(screen: Screen, found: CheckReport) -> NoReturn:
    """Print the result of a check, and exit.

    :raises typer.Exit: 0 when nothing is wrong, 1 when rows would fail, 2 when the load would be refused
    """
    if screen.is_json:
        screen.facts({**found.to_dict(), "load_api_calls": found.calls_of_load()})
    else:
        screen.lines([*found.lines(), f"a load needs about {found.calls_of_load():,} API calls"])
    raise typer.Exit(0 if found.is_clean else 1 if found.refusal is None else 2)


@app.command()
def extract(
    context: typer.Context,
    soql: Annotated[str, typer.Argument(help="SOQL query, or @FILE to read it from a file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write (.csv, .jsonl or .parquet). Without it, rows are printed as JSON Lines.",
        ),
    ] = None,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Format of the file, if its name does not show it.")
    ] = None,
    include_deleted: Annotated[bool, typer.Option(help="Include deleted and archived records.")] = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait. The job continues after that.")] = None,
) -> None:
    """Run a query and write its rows to a file, which appears once it is complete."""
    session: CommandRun = context.obj
    with (
        session.client() as client,
        session.screen.progress("query") as show,
        NewFile(output, reads=query_file(soql)) if output is not None else nullcontext() as file,
    ):
        wanted = FileFormat.CSV if output is None else FileFormat(file_format or _format_of(output))
        result = client.query.perform(
            read_query(soql), include_deleted=include_deleted, timeout=timeout, on_progress=show
        )
        if file is None:
            session.screen.rows(result.records)
            return
        if wanted is FileFormat.CSV:
            columns = [] if len(result) else list(result.to_df().columns)
            file.write(client.query.results(result.job.id), columns=columns)
        else:
            file.write(result, wanted)
    session.screen.facts({"job_id": result.job.id, "records": len(result), "file": str(output)})


@app.command()
def jobs(
    context: typer.Context,
    job_id: Annotated[
        str | None, typer.Argument(help="Id of a job to show in full. Without it, the newest jobs are listed.")
    ] = None,
    query: Annotated[bool, typer.Option("--query", help="Show query jobs instead of loads.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, help="Maximum number of jobs to list.")] = 20,
    abort: Annotated[bool, typer.Option("--abort", help="Abort the job.")] = False,
    abort_left: Annotated[
        bool, typer.Option("--abort-left", help="Abort loads of this user that were never closed.")
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(
            min=1,
            max=limits.JOB_OPEN_HOURS,
            help="For --abort-left: minimum age of a job in hours. Loads that are still uploading are open, too.",
        ),
    ] = 12,
    yes: Annotated[bool, typer.Option("--yes", help="For --abort-left: do not ask for confirmation.")] = False,
) -> None:
    """List the jobs of the last seven days, or show one job."""
    session: CommandRun = context.obj
    with session.client() as client:
        if abort_left:
            if job_id is not None or query or abort:
                raise SourceError("--abort-left finds the jobs itself: leave out the job id, --abort and --query")
            _abort_left(session.screen, client, timedelta(hours=older_than), is_agreed=yes)
            return
        calls = client.query if query else client.ingest
        if job_id is None:
            found = sorted(calls.list_jobs(), key=lambda job: str(job.created_date), reverse=True)[:most]
            session.screen.table(JOB_FACTS, map(_row_of, found))
            return
        job = calls.abort(job_id) if abort else calls.get_job(job_id)
        session.screen.facts({name: value for name, value in vars(job).items() if value is not None})


@app.command()
def describe(
    context: typer.Context, sobject: Annotated[str, typer.Argument(help="API name of the object, such as Account.")]
) -> None:
    """List the fields of an object, their types, and whether this user may write them."""
    session: CommandRun = context.obj
    with session.client() as client:
        fields = client.describe(sobject).get("fields") or ()
        session.screen.table(FIELD_FACTS, ({name: field.get(name) for name in FIELD_FACTS} for field in fields))


@app.command("login-test")
def login_test(context: typer.Context) -> None:
    """Sign in, and show the org, the user and the API calls left today."""
    session: CommandRun = context.obj
    with session.client() as client:
        usage = client.run(read_api_usage(api_version=client.api_version))
        session.screen.facts(
            {
                "instance_url": client.instance_url,
                "user": client.user_info().get("preferred_username"),
                "api_version": client.api_version,
                "api_calls_left": None if usage is None else usage.left,
                "api_calls_of_a_day": None if usage is None else usage.allowed,
            }
        )


@app.command()
def explain(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Error code or class, in any case.")],
) -> None:
    """Explain an error code of Salesforce or an error class of this package, and say what to do."""
    session: CommandRun = context.obj
    found = explanations(code)
    if not found:
        session.screen.error(SourceError(f"{code:.60} is not an error code or class that this package knows"))
        raise typer.Exit(2)
    session.screen.table(("code", "when", "raised_as", "what_to_do"), found)


def _abort_left(screen: Screen, client: BulkClient, older_than: timedelta, *, is_agreed: bool) -> None:
    found = left_jobs(client, older_than)
    screen.table(JOB_FACTS, map(_row_of, found))
    if not found or not (is_agreed or typer.confirm(f"Abort {len(found)} job(s)?", err=True)):
        return
    aborted = [job.id for job in abort_jobs(client, found)]
    screen.facts({"aborted": len(aborted), "job_ids": aborted})


def _mapping(columns: list[str] | None) -> dict[str, str | None] | None:
    if not columns:
        return None
    pairs = [each.partition("=") for each in columns]
    if any(not mark or not source for source, mark, _ in pairs):
        raise SourceError("--map must be SOURCE=Field__c, or SOURCE= to drop the column")
    twice = next((source for source, many in Counter(source for source, _, _ in pairs).items() if many > 1), None)
    if twice is not None:
        raise SourceError(f"--map names the column {twice!r:.60} twice: name each column once")
    return {source: field or None for source, _, field in pairs}


def _format_of(path: Path) -> FileFormat:
    kinds = {".csv": FileFormat.CSV, ".jsonl": FileFormat.JSONL, ".parquet": FileFormat.PARQUET}
    if path.suffix.lower() not in kinds:
        raise SourceError(f"{path.name} ends with none of {', '.join(kinds)}: set --format")
    return kinds[path.suffix.lower()]


def _row_of(job: JobInfo) -> dict[str, Any]:
    return {
        "id": job.id,
        "created": job.created_date,
        "object": job.object,
        "operation": job.operation,
        "state": job.state,
    }


if __name__ == "__main__":
    sys.exit(app(prog_name="sfbulk"))
