"""What a test can do to the org, by the same names and arguments from Python (``LocalOrg``) and as JSON over HTTP.

Nothing of this is Salesforce's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.bulk2 import ingest_work, query_work
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry
from airflow_provider_sfbulk.local_org.bulk2.jobs import Kind as JobKind
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import deleting
from airflow_provider_sfbulk.local_org.faults import kinds as fault_kinds
from airflow_provider_sfbulk.local_org.faults import troubles
from airflow_provider_sfbulk.local_org.faults.kinds import AskedFault, Kind
from airflow_provider_sfbulk.local_org.faults.troubles import Where
from airflow_provider_sfbulk.local_org.http import routes


class Control(ABC):
    """The levers of an org. Every public method is also ``POST /local-org/<name>`` with its arguments as JSON."""

    @property
    @abstractmethod
    def core(self) -> Core:
        """The org's insides."""

    # --- time and sessions ---

    def advance(self, seconds: float) -> None:
        """Push the org's clock forward."""
        self.core.clock.advance(seconds)

    def expire_tokens(self) -> None:
        """End every session, so that the next call with its token is answered 401."""
        self.core.sessions.expire_all()

    # --- calls ---

    def fault(self, route: str, kind: Kind, *, call: int = 1, times: int | None = 1, **options: Any) -> AskedFault:
        """Break calls of a route.

        :param route: its name, as ``ingest.upload`` or ``query.results``; ``ingest.*`` and ``*`` mean several
        :param kind: what to do, see :mod:`~.faults.kinds`: ``status``, ``html``, ``drop``, ``slow``, ``cut``,
            ``expired_session``, ``request_limit``, ``same_locator``
        :param call: the first call to break, counted from now: 1 is the next one
        :param times: how many calls in a row; None is all
        :param options: of the kind, as ``status=502``, ``retry_after=3``, ``when="after"``
        :return: the fault, whose ``struck`` says how many calls it has broken
        :raises ValueError: for a route, kind or option that does not exist
        """
        return fault_kinds.ask(self.core, route, kind, known_route=_is_route, call=call, times=times, **options)

    def limit(self, name: str, maximum: int) -> None:
        """Set a daily allocation; what was used in the last 24 hours counts. Beyond it, calls and jobs are refused as
        Salesforce refuses them.

        :param name: as ``/limits`` has it: ``DailyApiRequests``, ``DailyBulkApiBatches`` or ``DailyBulkV2QueryJobs``
        :raises ValueError: for another name
        """
        usage = self.core.usage
        allocations = {
            "DailyApiRequests": usage.api_requests,
            "DailyBulkApiBatches": usage.batches,
            "DailyBulkV2QueryJobs": usage.query_jobs,
        }
        if name not in allocations:
            raise ValueError(f"no limit is called {name!r}; there are {', '.join(allocations)}")
        if not isinstance(maximum, int) or maximum < 0:
            raise ValueError("maximum is a whole number from 0")
        allocations[name].maximum = maximum
        usage.refuse_calls |= name == "DailyApiRequests"

    # --- jobs ---

    def fail_jobs(
        self,
        *,
        after_batches: int = 0,
        jobs: int | None = 1,
        kind: str | None = None,
        sobject: str | None = None,
        error_message: str = troubles.FAILED,
    ) -> None:
        """Let jobs that start from now on end as ``Failed``.

        :param after_batches: how many batches an ingest job saves first; what is left is unprocessed. A job with no
            more batches fails after its last one
        :param jobs: how many jobs; None is all
        :param kind: ``ingest``, ``query`` or None: both
        :param sobject: only jobs of this object
        :param error_message: the jobs' ``errorMessage``
        """
        self.core.troubles.add(
            troubles.job_trouble(
                kind=kind,
                sobject=self._object(sobject),
                after_batches=after_batches,
                jobs=jobs,
                error_message=error_message,
            )
        )

    def stick_jobs(
        self, *, after_batches: int = 0, jobs: int | None = 1, kind: str | None = None, sobject: str | None = None
    ) -> None:
        """Let jobs that start from now on stay ``InProgress`` until :meth:`release_jobs`; arguments as
        :meth:`fail_jobs`."""
        self.core.troubles.add(
            troubles.job_trouble(
                kind=kind, sobject=self._object(sobject), after_batches=after_batches, jobs=jobs, error_message=None
            )
        )

    def release_jobs(self) -> None:
        """Let stuck jobs go on."""
        self._take_up(self.core.troubles.release())

    # --- rows ---

    def fail_rows(
        self,
        sobject: str,
        *,
        where: Where | None = None,
        code: str = "UNABLE_TO_LOCK_ROW",
        message: str | None = None,
        fields: Sequence[str] = (),
        attempts: int | None = 1,
    ) -> None:
        """Let rows of ingest jobs fail.

        :param where: texts by column that a row has, or from Python a function of the row; None is every row
        :param code: with ``message`` and ``fields`` the row's ``sf__Error``
        :param attempts: how often a row fails before it passes; None is always
        """
        known = self._object(sobject)
        assert known is not None
        self.core.troubles.add(
            troubles.row_trouble(known, where=where, code=code, message=message, fields=fields, attempts=attempts)
        )

    def hold(self, record_id: str, *, batches: int | None = None) -> None:
        """Hold a record, as another transaction does: rows that change it or name it as a parent fail with
        ``UNABLE_TO_LOCK_ROW``.

        :param batches: let go after rows of so many batches have met it; None: until :meth:`release`
        """
        self.core.locks.hold(record_id, batches=batches)

    def contend(self, record_id: str) -> None:
        """Let rows that change a record, or name it as a parent, fail with ``UNABLE_TO_LOCK_ROW`` in everything that runs
        in parallel, until :meth:`release`. In serial jobs of Bulk API 1.0 they do not fail."""
        self.core.locks.contend(record_id)

    def release(self, record_id: str) -> None:
        """Let go of a record."""
        self.core.locks.release(record_id)

    # --- records ---

    def undelete(self, record_id: str) -> None:
        """Take a record out of the recycle bin, with the children that went with it; lookups to it that were cleared
        lead to it again.

        :raises ValueError: when it does not lie there
        """
        core = self.core
        try:
            with core.saving:
                deleting.undelete(core.store, core.schema, record_id, now=clock.in_csv(core.clock.now()))
        except LookupError as missing:
            raise ValueError(str(missing)) from missing

    # --- an end to it ---

    def clear_faults(self) -> None:
        """Forget every fault that was asked for, and let stuck jobs go on. Limits and held records stay."""
        self.core.faults.clear()
        self._take_up(self.core.troubles.clear())

    # --- inside ---

    def _object(self, name: str | None) -> str | None:
        if name is None:
            return None
        sobject = self.core.schema.get(name)
        if sobject is None:
            raise ValueError(f"the local org has no object {name}")
        return sobject.name

    def _take_up(self, entries: list[Entry]) -> None:
        for entry in entries:
            take_up(self.core, entry)


def take_up(core: Core, entry: Entry) -> None:
    """Go on with a job that somebody left in the middle."""
    if entry.job.kind is JobKind.QUERY:
        core.query_worker.submit(entry, query_work.work(core, entry, core.clock.now()))
    else:
        core.ingest_worker.submit(entry, ingest_work.work(core, entry, core.clock.now()))


def _is_route(pattern: str) -> bool:
    return isinstance(pattern, str) and any(fnmatchcase(route.name, pattern) for route in routes.ROUTES)
