"""What a test can do to the org, by the same names and arguments from Python (``LocalOrg``) and as JSON over HTTP.

Nothing of this is Salesforce's.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_sfbulk.local_org.bulk2 import ingest_work, query_work
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, JobKind
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data.values import RowError
from airflow_provider_sfbulk.local_org.faults import kinds as fault_kinds
from airflow_provider_sfbulk.local_org.faults import rules, troubles
from airflow_provider_sfbulk.local_org.faults.kinds import AskedFault, Kind
from airflow_provider_sfbulk.local_org.faults.rules import Condition
from airflow_provider_sfbulk.local_org.faults.troubles import Where
from airflow_provider_sfbulk.local_org.http import routes
from airflow_provider_sfbulk.local_org.state import OrgState, record_id_of


class Control(OrgState):
    """The levers of an org. Every public method is also ``POST /local-org/<name>`` with its arguments as JSON."""

    # --- sessions ---

    def expire_tokens(self) -> None:
        """End every session, so that the next call with its token is answered 401."""
        self.core.sessions.expire_all()

    # --- calls ---

    def fault(self, route: str, kind: Kind, *, call: int = 1, times: int | None = 1, **options: Any) -> AskedFault:
        """Break calls of a route.

        :param route: its name, such as ``ingest.upload`` or ``query.results``; ``ingest.*`` and ``*`` mean several
        :param kind: what to do, see :mod:`~.faults.kinds`: ``status``, ``html``, ``drop``, ``slow``, ``cut``,
            ``expired_session``, ``request_limit``, ``same_locator``
        :param call: the first call to break, counted from now: 1 is the next one
        :param times: how many calls in a row; None is all
        :param options: of the kind, such as ``status=502``, ``retry_after=3``, ``when="after"``
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

    def validation_rule(
        self,
        sobject: str,
        message: str,
        *,
        when: Condition | None = None,
        fields: Sequence[str] = (),
        on: Sequence[str] = ("insert", "update"),
    ) -> None:
        """Let rows fail with ``FIELD_CUSTOM_VALIDATION_EXCEPTION``, as a validation rule does.

        :param message: the rule's own
        :param when: what the record is that fails: values by field, ``{"Amount": {"<": 0}}`` (operators ``=``, ``!=``,
            ``<``, ``<=``, ``>``, ``>=``, ``in``, ``contains``), or from Python a function of the record; None: always
        :param fields: where the message is shown; none: on top of the page
        :param on: some of ``insert``, ``update`` and ``delete``
        """
        self._add_rule(sobject, RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", message, *fields), when, on)

    def duplicate_rule(
        self,
        sobject: str,
        fields: Sequence[str],
        *,
        message: str = "Use one of these records?",
        when: Condition | None = None,
        on: Sequence[str] = ("insert", "update"),
    ) -> None:
        """Let rows fail with ``DUPLICATES_DETECTED`` that have all of these values in common with another record; other
        arguments as :meth:`validation_rule`."""
        if isinstance(fields, str) or not fields:
            raise ValueError("fields is a list of names")
        self._add_rule(sobject, RowError("DUPLICATES_DETECTED", message), when, on, unique=fields)

    def trigger(
        self,
        sobject: str,
        *,
        name: str = "LocalTrigger",
        event: str = "BeforeInsert",
        message: str = "System.NullPointerException: Attempt to de-reference a null object",
        when: Condition | None = None,
    ) -> None:
        """Let rows fail with ``CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY``, as an Apex trigger does that throws.

        :param event: ``BeforeInsert``, ``AfterUpdate``, …: also when it runs
        :param message: the exception's
        """
        operation = event.removeprefix("Before").removeprefix("After").lower()
        if operation not in rules.OPERATIONS or not event.startswith(("Before", "After")):
            raise ValueError("event is when and what, such as BeforeInsert, AfterUpdate or BeforeDelete")
        text = f"{name}: execution of {event}\n\ncaused by: {message}\n\nTrigger.{name}: line 1, column 1"
        self._add_rule(sobject, RowError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text), when, (operation,))

    def close_record(self, record_id: str) -> None:
        """Take the user's access to a record away: rows that name it as a parent fail with
        ``INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY``, rows that change it with ``INSUFFICIENT_ACCESS_OR_READONLY``."""
        self.core.rules.closed.add(record_id_of(record_id))

    def clear_rules(self) -> None:
        """Forget all rules, and give access back."""
        self.core.rules.clear()

    def hold(self, record_id: str, *, batches: int | None = None) -> None:
        """Hold a record, as another transaction does: rows that change it or name it as a parent fail with
        ``UNABLE_TO_LOCK_ROW``.

        :param batches: let go after rows of so many batches have met it; None: until :meth:`release`
        :raises ValueError: for what is no id
        """
        self.core.locks.hold(record_id_of(record_id), batches=batches)

    def contend(self, record_id: str) -> None:
        """Let rows that change a record, or name it as a parent, fail with ``UNABLE_TO_LOCK_ROW`` in everything that runs
        in parallel, until :meth:`release`. In serial jobs of Bulk API 1.0 they do not fail."""
        self.core.locks.contend(record_id_of(record_id))

    def release(self, record_id: str) -> None:
        """Let go of a record."""
        self.core.locks.release(record_id_of(record_id))

    # --- an end to it ---

    def clear_faults(self) -> None:
        """Forget every fault that was asked for, and let stuck jobs go on. Limits and held records stay."""
        self.core.faults.clear()
        self._take_up(self.core.troubles.clear())

    # --- inside ---

    def _add_rule(
        self, sobject: str, error: RowError, when: Condition | None, on: Sequence[str], unique: Sequence[str] = ()
    ) -> None:
        name = self._object(sobject)
        known = self.core.schema.get(name or "")
        assert known is not None
        self.core.rules.add(
            rules.rule(known.name, error=error, when=when, on=on, known_fields=known.fields, unique=unique)
        )

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
