"""The local org as Python sees it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1 import work as bulk1_work
from airflow_provider_sfbulk.local_org.bulk1.jobs import Job as Bulk1Job
from airflow_provider_sfbulk.local_org.bulk1.jobs import Jobs as Bulk1Jobs
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, Job, Jobs, State
from airflow_provider_sfbulk.local_org.clock import Clock, seconds_of
from airflow_provider_sfbulk.local_org.control import Control, take_up
from airflow_provider_sfbulk.local_org.core import Call, Core
from airflow_provider_sfbulk.local_org.data import seed
from airflow_provider_sfbulk.local_org.data.describe import sobjects_in
from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.data.standard_objects import standard_objects
from airflow_provider_sfbulk.local_org.data.store import Store, check_file
from airflow_provider_sfbulk.local_org.http.application import application
from airflow_provider_sfbulk.local_org.http.server import HOST, Server
from airflow_provider_sfbulk.local_org.http.tls import make_certificate
from airflow_provider_sfbulk.local_org.jobs import AnyEntry
from airflow_provider_sfbulk.local_org.login import credentials
from airflow_provider_sfbulk.local_org.login.credentials import Sessions
from airflow_provider_sfbulk.local_org.usage import Usage
from airflow_provider_sfbulk.local_org.worker import Worker


class LocalOrg(Control):
    """A strict local Salesforce. Use it as a context manager, or call :meth:`start` and :meth:`close`.

    :param seed: folder with one ``<sObject>.csv`` each, loaded into a new org; a data file that has been seeded is
        not again
    :param schema: describe answers of further objects: a JSON file, or what it would hold
    :param data: SQLite file that outlives the process, with records, jobs, credentials and sessions; its job files
        are in a folder beside it. One org at a time can have it. None: everything is thrown away at the end
    :param job_seconds: how long a job takes, by the org's clock, in seconds or as a timedelta; 0 is at once
    :param batch_records: records of one batch of an ingest job, 10,000 as in Salesforce; fewer let a small test have
        several
    :param tls: answer https, with a certificate in :attr:`ca_file`
    :param port: 0 takes a free one
    :param random_seed: the same seed gives a new org the same id and credentials; ids of records repeat anyway
    """

    def __init__(
        self,
        *,
        seed: str | Path | None = None,
        schema: str | Path | Mapping[str, Any] | list[Any] | None = None,
        data: str | Path | None = None,
        job_seconds: float | timedelta = 0.0,
        batch_records: int = limits.BATCH_RECORDS,
        tls: bool = False,
        port: int = 0,
        random_seed: int | None = None,
    ) -> None:
        if batch_records < 1:
            raise ValueError(f"batch_records must be a number from 1, not {batch_records}")
        self._random_seed = random_seed
        self._seed = seed
        self._schema = schema
        self._data = data
        self._job_seconds = seconds_of(job_seconds, "job_seconds")
        self._batch_records = batch_records
        self._tls = tls
        self._port = port
        self._folder: Path | None = None
        self._server: Server | None = None
        self._core: Core | None = None
        self._ca_file: Path | None = None
        self._held: int | None = None

    # --- life ---

    def start(self) -> Self:
        """Start the org; it answers when this returns.

        :raises SeedError: when the seed folder cannot be loaded
        :raises ValueError: for a document that is not a schema, and for a data file that is none or that another org has
        :raises RuntimeError: when it has started already
        """
        if self._folder is not None:
            raise RuntimeError("the local org is started already")
        self._core = None  # what an earlier start may have left to look at
        self._folder = Path(tempfile.mkdtemp(prefix="local-org-"))
        try:
            self._start(self._folder)
        except BaseException:
            self._stop()
            raise
        return self

    def _start(self, folder: Path) -> None:
        database = Path(self._data) if self._data is not None else folder / "org.sqlite"
        database.parent.mkdir(parents=True, exist_ok=True)
        server = self._server = Server(self._port)
        certificate = make_certificate(folder) if self._tls else None
        self._ca_file = certificate[0] if certificate else None
        # Certificates and clients differ on how to check an address; a name works with all of them.
        url = f"https://localhost:{server.port}" if certificate else f"http://{HOST}:{server.port}"
        time = Clock()
        check_file(database)
        job_files = database.with_name(database.name + ".jobs")
        if self._data is not None:
            self._hold(job_files)
        is_new = not database.exists()
        seed.lay_out(database)
        store = Store(database, durable=self._data is not None)
        keys = credentials.load(store, self._random_seed)
        core = self._core = Core(
            url=url,
            clock=time,
            schema=Schema(),
            store=store,
            jobs=Jobs(store, time, job_files),
            bulk1=Bulk1Jobs(store, time, job_files),
            credentials=keys,
            sessions=Sessions(store, time, keys.org_id),
            usage=Usage(time),
            folder=folder,
            ingest_worker=Worker("local-org-ingest", time, self._failed),
            query_worker=Worker("local-org-query", time, self._failed),
            job_seconds=self._job_seconds,
            batch_records=self._batch_records,
        )
        for sobject in standard_objects():
            core.schema.add(sobject)
            if not is_new:
                store.create_table(sobject)
        seed.make_first_records(core)
        if self._schema is not None:
            for described in sobjects_in(_document(self._schema)):
                self.add_object(described)
        if self._seed is not None and store.setting("seeded") is None:
            with store.writing():  # all or nothing: the next start seeds again what this one could not
                seed.load(core, Path(self._seed))
                store.keep_setting("seeded", str(self._seed))
        core.ingest_worker.start()
        core.query_worker.start()
        self._resume(core)
        server.start(application(core, self), certificate=certificate)

    def _hold(self, job_files: Path) -> None:
        """Keep others out of the data file: two orgs would both work on its jobs. The lock ends with the process, however
        that ends."""
        job_files.mkdir(exist_ok=True)
        self._held = os.open(job_files, os.O_RDONLY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another local org has the data file {self._data}") from error

    def close(self) -> None:
        """Stop the org, if it runs. What is in ``data`` stays, everything else is gone.

        :raises RuntimeError: when something went wrong inside the org itself
        """
        if self._folder is None:
            return
        mistakes = self._core.mistakes if self._core is not None else []
        self._stop()
        if mistakes:
            raise RuntimeError(f"the local org itself made a mistake: {mistakes[0]!r}") from mistakes[0]

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._core is not None:
            for worker in (self._core.ingest_worker, self._core.query_worker):
                worker.stop()
            self._core.store.close()
        if self._held is not None:
            fcntl.flock(self._held, fcntl.LOCK_UN)  # also for processes forked meanwhile, which have it open too
            os.close(self._held)
            self._held = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # The first error is the one to see.
            self._stop()

    @property
    def core(self) -> Core:
        """The org's insides.

        :raises RuntimeError: when it was not started
        """
        if self._core is None:
            raise RuntimeError("the local org is not started: use it in a with statement, or call start()")
        return self._core

    # --- how to reach it ---

    @property
    def url(self) -> str:
        """Where it answers: login host and instance in one."""
        return self.core.url

    @property
    def login_url(self) -> str:
        """The org under another name, which is as ``login.salesforce.com``: good for logging in, by other flows than
        client credentials, and for nothing else. There is such a host from the first time that this is asked for."""
        parts = urlsplit(self.url)
        self.core.login_host = "localhost" if parts.hostname == HOST else HOST
        return f"{parts.scheme}://{self.core.login_host}:{parts.port}"

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust, with ``tls``."""
        return self._ca_file

    @property
    def username(self) -> str:
        """The user."""
        return self.core.credentials.username

    @property
    def password(self) -> str:
        """The user's password."""
        return self.core.credentials.password

    @property
    def security_token(self) -> str:
        """The user's security token."""
        return self.core.credentials.security_token

    @property
    def client_id(self) -> str:
        """The app's consumer key."""
        return self.core.credentials.client_id

    @property
    def client_secret(self) -> str:
        """The app's consumer secret."""
        return self.core.credentials.client_secret

    @property
    def refresh_token(self) -> str:
        """A refresh token of the user for the app."""
        return self.core.credentials.refresh_token

    @property
    def private_key(self) -> str:
        """The app's private key for the JWT flow, as PEM."""
        return credentials.private_key(self.core.store)

    @property
    def user_id(self) -> str:
        """The user's id."""
        return self.core.credentials.user_id

    @property
    def org_id(self) -> str:
        """The org's id."""
        return self.core.credentials.org_id

    @property
    def connection(self) -> str:
        """The org as an Airflow connection in JSON, ready for ``AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT``."""
        return json.dumps(
            {"conn_type": "salesforce_bulk", "host": self.url, "login": self.username, "extra": self._application()}
        )

    @property
    def environment(self) -> dict[str, str]:
        """The org as environment variables, for ``BulkClient.from_env``."""
        settings = {"host": self.url, "login": self.username, **self._application()}
        # The prefix is the client's, which this package does not import.
        return {f"SFBULK_{key.upper()}": value for key, value in settings.items()}

    def _application(self) -> dict[str, str]:
        values = {
            "auth_flow": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        if self.ca_file is not None:
            values["ca_file"] = str(self.ca_file)
        return values

    def start_line(self) -> dict[str, Any]:
        """Return what the command prints when it starts."""
        line: dict[str, Any] = {
            "url": self.url,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "username": self.username,
            "password": self.password,
            "security_token": self.security_token,
            "refresh_token": self.refresh_token,
            "private_key": self.private_key,
            "connection": self.connection,
        }
        if self.ca_file is not None:
            line["ca_file"] = str(self.ca_file)
        return line

    # --- what is in it ---

    def records(self, sobject: str, *, include_deleted: bool = False) -> list[dict[str, Any]]:
        """Return what is stored of an object, one dict per record, in the order of their ids.

        Values are as ``schema`` says they are stored: numbers are numbers, moments text; checkboxes are true or false.

        :param include_deleted: also what is in the recycle bin
        :raises LookupError: for an object that the org does not have
        """
        known = self.core.schema.get(sobject)
        if known is None:
            raise LookupError(f"the local org has no object {sobject}")
        return self.core.store.records(known, include_deleted=include_deleted)

    @property
    def calls(self) -> list[Call]:
        """Every call that was answered, oldest first."""
        return self.core.calls

    @property
    def jobs(self) -> list[Job]:
        """Every job, oldest first, as it is: polls may still be shown an earlier state."""
        return [entry.job for entry in self.core.jobs]

    @property
    def bulk1_jobs(self) -> list[Bulk1Job]:
        """Every job of Bulk API 1.0, oldest first."""
        return [entry.job for entry in self.core.bulk1]

    # --- what a test can do to it: see Control ---

    def wait_until_idle(self) -> None:
        """Wait until no job has anything left to do. With ``job_seconds`` somebody has to advance the clock."""
        self.core.ingest_worker.wait_until_idle()
        self.core.query_worker.wait_until_idle()

    # --- inside ---

    def _seed_again(self) -> None:
        if self._seed is not None:
            seed.load(self.core, Path(self._seed))

    def _resume(self, core: Core) -> None:
        """Resume the jobs that an earlier process left undone."""
        for entry in core.jobs:
            if entry.job.state in (State.UPLOAD_COMPLETE, State.IN_PROGRESS):
                take_up(core, entry)
        for older in core.bulk1:
            bulk1_work.resume(core, older)

    def _failed(self, entry: AnyEntry[Any], error: Exception) -> None:
        """Fail a job that a bug of this package stopped, and keep the error for :meth:`close`."""
        core = self.core
        core.mistakes.append(error)
        if not isinstance(entry, Entry):
            return
        entry.job.error_message = f"InternalServerError : {type(error).__name__}"
        core.jobs.set_state(entry, State.FAILED)


def _document(schema: str | Path | Mapping[str, Any] | list[Any]) -> Any:
    if isinstance(schema, str | Path):
        return json.loads(Path(schema).read_text(encoding="utf-8"))
    return schema
