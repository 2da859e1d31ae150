"""The org itself, without HTTP: what the handlers of all routes work on."""

from __future__ import annotations

import hmac
import threading
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1.jobs import Jobs as Bulk1Jobs
from airflow_provider_sfbulk.local_org.bulk2.jobs import Jobs
from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.data.store import Store
from airflow_provider_sfbulk.local_org.faults.calls import Faults
from airflow_provider_sfbulk.local_org.faults.locks import Locks
from airflow_provider_sfbulk.local_org.faults.rules import Rules
from airflow_provider_sfbulk.local_org.faults.troubles import Troubles
from airflow_provider_sfbulk.local_org.login.credentials import Credentials, Sessions
from airflow_provider_sfbulk.local_org.usage import Usage
from airflow_provider_sfbulk.local_org.worker import Worker


@dataclass(frozen=True)
class Call:
    """One call that the org has answered."""

    method: str
    path: str
    """With its query string."""
    status: int


@dataclass(kw_only=True)
class Core:
    """The org's parts and its switches.

    :ivar url: where the org is reached; no slash at the end
    :ivar folder: for what need not outlive the process
    :ivar query_records: records of a page of a REST query when the caller does not say
    :ivar job_seconds: how long a job takes, by the org's clock
    :ivar batch_records: records of one batch of an ingest job; fewer than Salesforce's let small tests have several
    :ivar page_records: records of a query result page when the caller does not say
    :ivar hard_delete: whether the user has the permission "Bulk API Hard Delete"
    :ivar result_file_bytes: how large a result file of a Bulk API 1.0 query grows
    :ivar not_processed: how batches of Bulk API 1.0 spell that state: the documentation also has ``Not Processed``
    :ivar soap_login: whether the org lets users log in by SOAP; new orgs do not
    :ivar trusted_network: whether SOAP takes the password without the security token, as from a trusted address
    :ivar login_host: host name under which the org is as ``login.salesforce.com``: good for logging in, by other flows
        than client credentials, and for nothing else. None: there is no such host
    :ivar compress: whether answers are compressed for callers that accept it
    :ivar mistakes: exceptions inside the org; each is a bug in this package
    """

    url: str
    clock: Clock
    schema: Schema
    store: Store
    jobs: Jobs
    bulk1: Bulk1Jobs
    credentials: Credentials
    sessions: Sessions
    usage: Usage
    folder: Path
    ingest_worker: Worker
    query_worker: Worker
    locks: Locks = field(default_factory=Locks)
    faults: Faults = field(default_factory=Faults)
    troubles: Troubles = field(default_factory=Troubles)
    rules: Rules = field(default_factory=Rules)
    calls: list[Call] = field(default_factory=list)
    mistakes: list[Exception] = field(default_factory=list)
    job_seconds: float = 0.0
    batch_records: int = limits.BATCH_RECORDS
    page_records: int = 100_000
    query_records: int = 2_000
    hard_delete: bool = True
    login_host: str | None = None
    compress: bool = True
    result_file_bytes: int = limits.RESULT_FILE_BYTES
    not_processed: str = "NotProcessed"
    soap_login: bool = True
    trusted_network: bool = False
    saving: threading.RLock = field(default_factory=threading.RLock)
    """Held from the first look at what is stored to the last change: two savers would not see each other's rows."""

    def password_is(self, username: str, password: str) -> bool:
        """Whether a user and their password with the security token glued to it are right."""
        expected = self.credentials.password + self.credentials.security_token
        return username == self.credentials.username and hmac.compare_digest(password.encode(), expected.encode())
