"""Extracts that continue where the previous one ended.

A window is half open: from ``since``, before ``until``. Consecutive windows share their border but no record.

* With a *watermark*, the border is kept in Airflow's state store of the asset, and is advanced only after an extract is
  published. The store has no compare-and-set: each of two concurrent runs begins at a published border, so their windows
  may overlap but never leave a gap.
* A task instance keeps its window over retries and clears, for as long as Airflow keeps the task instance: a repeated run
  reads the same window. A later run may have advanced the watermark; it never goes back.
* ``until`` is ``lag`` before the org's present, by the org's own clock: Salesforce stamps a record when its transaction
  begins to save it, and shows it when the transaction is committed, some minutes later in a large load.
* By *data interval*, the window is the run's own. It is not read before it has ended by the org's clock.
* By *asset event*, the windows are those of the events that started a run (``triggers/change.py``), which are consecutive,
  too: a run reads from the start of its first window to the end of its last.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from airflow.sdk import Asset, conf
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException

from airflow_provider_sfbulk.client.arguments import Seconds, one_of
from airflow_provider_sfbulk.client.effects import Flow, Sleep
from airflow_provider_sfbulk.client.errors import LedgerError, SourceError, TransientError
from airflow_provider_sfbulk.client.protocol.org import server_time
from airflow_provider_sfbulk.task.asset_state import asset_key, lag_seconds, moment, written

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_sfbulk.client import BulkClient

WATERMARK: Final = "watermark"
DATA_INTERVAL: Final = "data_interval"
ASSET_EVENT: Final = "asset_event"
WAYS: Final = (WATERMARK, DATA_INTERVAL, ASSET_EVENT)

LAG: Final = timedelta(minutes=5)
"""Salesforce's own limit for the processing of a batch."""

_SOON: Final = timedelta(minutes=1)
"""By how much Airflow's clock may be ahead of the org's without the task noticing."""

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every record of every org."""

BOUND: Final = ("since", "until")
"""Names in the SOQL."""

_TEXT: Final = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_INNERMOST: Final = re.compile(r"\([^()]*\)")
_ROOT: Final = re.compile(r"\bFROM\s+(:?\w+)(?:\s+(?:AS\s+)?(?!WHERE\b|USING\b|WITH\b)(\w+))?", re.IGNORECASE)
_CUTTING: Final = re.compile(r"\b(?:LIMIT|OFFSET|OR)\b", re.IGNORECASE)
"""Clauses that, outside of parentheses, remove rows from the window or add others to it."""

_FIELD: Final = re.compile(r"[A-Za-z]\w*", re.ASCII)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Window:
    """A span of time that includes ``since`` and excludes ``until``."""

    since: datetime
    until: datetime

    def to_dict(self) -> dict[str, str]:
        """Return what is stored and shown."""
        return {"since": written(self.since), "until": written(self.until)}

    @classmethod
    def from_dict(cls, known: Mapping[str, str]) -> Self:
        """Read what was stored.

        :raises LedgerError: when that is not a window
        """
        try:
            since, until = (moment(known[each], each) for each in BOUND)
        except (KeyError, TypeError, SourceError) as error:
            raise LedgerError(
                "the window that is kept for this query is not as this provider writes it: delete the task's entries "
                "(sfbulk.…) from its state store, and the task chooses a new one"
            ) from error
        return cls(since, until)


@dataclass(frozen=True)
class Incremental:
    """Which records a run of a query reads: those whose ``field`` is in the run's window.

    The SOQL names the window: ``WHERE SystemModstamp >= :since AND SystemModstamp < :until``.

    :param field: a datetime of the object. ``SystemModstamp`` is set by every change, including Salesforce's own
    :param asset: asset whose state store has the watermark; it becomes one of the task's outlets. By asset event, the asset
        whose watcher started the run. By data interval it is not needed
    :param initial: where the first window begins, with a timezone; None for all records
    :param lag: how long before the org's present a window ends; by data interval, how much earlier than the interval it
        is. In seconds or as a timedelta; by default five minutes
    :param by: ``watermark``; ``data_interval`` for the run's own, or ``asset_event`` for the window of the events of a
        :class:`~airflow_provider_sfbulk.triggers.change.SalesforceChangeTrigger` that started it, which move no watermark
    :raises SourceError: an argument is wrong
    """

    field: str = "SystemModstamp"
    asset: Asset | None = None
    initial: datetime | str | None = None
    lag: Seconds | None = None
    by: Literal["watermark", "data_interval", "asset_event"] = "watermark"

    def __post_init__(self) -> None:
        if not isinstance(self.field, str) or not _FIELD.fullmatch(self.field):
            raise SourceError("Incremental: field is the API name of a datetime field, such as SystemModstamp")
        one_of(WAYS)("Incremental: by", self.by)
        if self.asset is not None and not isinstance(self.asset, Asset):
            raise SourceError(f"Incremental: asset is an Asset, not a {type(self.asset).__name__:.40}")
        if self.by == WATERMARK and self.asset is None:
            raise SourceError("Incremental: a watermark needs an asset, whose state store keeps it")
        if self.by == ASSET_EVENT:
            self._check_asset_event()
        if self.lag is not None:
            object.__setattr__(self, "lag", timedelta(seconds=lag_seconds("Incremental: lag", self.lag)))
        if self.initial is not None:
            moment(self.initial, "initial")

    def _check_asset_event(self) -> None:
        if self.asset is None:
            raise SourceError("Incremental: by asset_event needs the asset whose events start the run")
        for name in ("initial", "lag"):
            if getattr(self, name) is not None:
                raise SourceError(
                    f"Incremental: by asset_event the events say what is read; {name} is an argument of the trigger"
                )

    @property
    def outlet(self) -> Asset | None:
        """The asset that a run changes; None by asset event, since each run would start the next."""
        return None if self.by == ASSET_EVENT else self.asset

    @property
    def identity(self) -> dict[str, Any]:
        """What distinguishes windows: if it changes, a new window is decided. A changed ``lag`` or ``initial`` applies to
        later runs."""
        return {"field": self.field, "asset": None if self.asset is None else self.asset.name, "by": self.by}

    @property
    def conditions(self) -> tuple[str, str]:
        """The window as two conditions of SOQL, with the names that :meth:`check` requires."""
        since, until = BOUND
        return f"{self.field} >= :{since}", f"{self.field} < :{until}"

    def check(self, soql: str) -> None:
        """Check that a query reads its whole window, including its start and excluding its end.

        :raises SourceError: it does not, or this cannot be determined
        """
        plain = _without_parentheses(_TEXT.sub("''", soql))
        owners = "|".join(filter(None, _root(plain)))
        prefix = rf"(?:(?:{owners})\.)?" if owners else ""
        for sign, name in zip((">=", "<"), BOUND, strict=True):
            condition = rf"(?<![\w.]){prefix}{self.field}\s*{sign}\s*:\s*(?-i:{name})\b"
            found = re.findall(condition, plain, re.IGNORECASE | re.ASCII)
            negated = re.search(rf"\bNOT\s+{condition}", plain, re.IGNORECASE | re.ASCII)
            if len(found) != 1 or negated or len(re.findall(rf":\s*{name}\b", soql)) != 1:
                raise SourceError(
                    f"incremental: the SOQL needs WHERE {self.field} >= :since AND {self.field} < :until, in these signs, "
                    f"once and outside of parentheses, so that the border belongs to only one window; check "
                    f"{self.field} {sign} :{name}"
                )
        cut = _CUTTING.search(plain)
        if cut is not None:
            raise SourceError(
                f"incremental: {cut[0].upper()} in the SOQL could make a run skip records that no other run reads; "
                + ("put it into parentheses" if cut[0].upper() == "OR" else "take it out")
            )

    def decide(self, context: Context, client: BulkClient, soql: str) -> Window:
        """Decide on the window of a task instance that has none yet.

        :raises SourceError: the run has no data interval, no event, or its window would begin in the future
        :raises TransientError: by data interval or event, its window ends in the future
        :raises AirflowSkipException: none of the run's events is of this object
        :raises LedgerError: the watermark cannot be read
        """
        if self.by != WATERMARK:
            window = self._interval(context) if self.by == DATA_INTERVAL else self._of_events(context, soql)
            client.run(_wait_for_end(window))
            return window
        since = self._begin(context)
        now = client.run(_org_time())
        if since > now:
            raise SourceError(f"incremental: the window would begin in the future, at {written(since)}: fix `initial`")
        # An empty window is read like every other one: downstream tasks find an extract without rows.
        return Window(since, max(since, now - self._lag))

    def window_of_run(self, context: Context) -> Mapping[str, Any] | None:
        """Return the window that this run published before its task instance was made to forget it; see :meth:`advance`.

        :raises LedgerError: it cannot be read
        """
        kept = None if self.by != WATERMARK else _read(context, self._asset, _run_key(context))
        return kept if isinstance(kept, Mapping) and kept.get("of") == self.identity else None

    def advance(self, context: Context, window: Window) -> None:
        """Move the watermark on to the end of a window that is published.

        It never goes back, and never over time that no published window holds: somebody may have set it back since, to read
        more.

        Airflow's setting ``[state_store] clear_on_success`` removes what a task instance knows as soon as it has succeeded.
        Then the asset keeps the window, too: a run that is cleared reads its own once more.
        """
        if self.by != WATERMARK:
            return
        if conf.getboolean("state_store", "clear_on_success", fallback=False):
            _write(context, self._asset, _run_key(context), {**window.to_dict(), "of": self.identity})
        begin = self._begin(context)
        if window.since <= begin < window.until:
            _write(context, self._asset, watermark_key(context), written(window.until))
        elif begin < window.since:
            log.warning("the watermark stays at %s, before this window: the next run reads from there", written(begin))

    @property
    def _lag(self) -> timedelta:
        return self.lag if isinstance(self.lag, timedelta) else LAG

    @property
    def _asset(self) -> Asset:
        assert self.asset is not None
        return self.asset

    def _begin(self, context: Context) -> datetime:
        """Where the next window begins."""
        return read_watermark(context, self._asset) or moment(self.initial or BEGINNING, "initial")

    def _interval(self, context: Context) -> Window:
        start, end = context.get("data_interval_start"), context.get("data_interval_end")
        if start is None or end is None or start >= end:
            raise SourceError(
                "incremental by data_interval: this run has no data interval. Airflow 3 gives one to runs of "
                "CronDataIntervalTimetable or DeltaDataIntervalTimetable, not to those of a plain cron schedule; for "
                "others go by watermark"
            )
        return Window(start.astimezone(UTC) - self._lag, end.astimezone(UTC) - self._lag)

    def _of_events(self, context: Context, soql: str) -> Window:
        started_by = context.get("triggering_asset_events") or {}
        if not started_by:
            raise SourceError(
                f"incremental by asset_event: this run was not started by an event. Runs of a DAG that is scheduled by "
                f"asset {self._asset.name} are; for manual runs create an event of it, or go by watermark"
            )
        sobject = _root(_without_parentheses(_TEXT.sub("''", soql)))[0]
        extras = [event.extra for event in started_by.get(self._asset, ())]
        payloads = [each.get("payload") for each in extras if isinstance(each, Mapping)]
        windows = [
            self._of_payload(payload)
            for payload in payloads
            if isinstance(payload, Mapping)
            and str(payload.get("sobject")).casefold() == sobject.casefold()
            and str(payload.get("field")).casefold() == self.field.casefold()
        ]
        if not windows:
            raise AirflowSkipException(
                f"none of the events that started this run is one of asset {self._asset.name} for {sobject}.{self.field}"
            )
        return Window(min(each.since for each in windows), max(each.until for each in windows))

    def _of_payload(self, payload: Mapping[str, Any]) -> Window:
        """Read an event that somebody may have made by hand."""
        try:
            found = Window.from_dict(payload)
        except LedgerError:
            found = None
        if found is None or not found.since < found.until:
            raise SourceError(
                f"incremental by asset_event: the payload of an event of asset {self._asset.name} has no since and, after "
                "it, an until, each with a timezone as 2026-01-31T00:00:00Z"
            ) from None
        return found


def _org_time() -> Flow[datetime]:
    now = yield from server_time()
    if now is None:
        log.warning("the org does not give its time: this machine's clock is used instead")
        now = datetime.now(UTC)
    return now


def _wait_for_end(window: Window) -> Flow[None]:
    """Wait until a window has ended by the org's clock. It is read only once, so what changes later in it would be missed.

    :raises TransientError: it ends too late to wait for
    """
    left = window.until - (yield from _org_time())
    if left > _SOON:
        raise TransientError(
            f"incremental: the window ends at {written(window.until)}, which is {left} ahead of the org's clock. No later "
            "run would read what changes until then, so nothing was read: retry when it has ended"
        )
    if left > timedelta():
        yield Sleep(left.total_seconds())


def _root(plain: str) -> tuple[str, str]:
    """Name the object that a query without parentheses selects from, or what stands for it (``:object``), and an alias;
    empty where there is none."""
    found = _ROOT.search(plain)
    return ("", "") if found is None else (found[1], found[2] or "")


def _without_parentheses(soql: str) -> str:
    """Leave out what is in parentheses: sub-queries, lists, and conditions that do not hold for all rows."""
    while (shorter := _INNERMOST.sub(" ", soql)) != soql:
        soql = shorter
    return soql


def watermark_key(context: Context) -> str:
    """Return the name of a task's watermark in its asset's state store. Tasks that share an asset have one each."""
    ti = context["ti"]
    if ti.map_index is not None and ti.map_index >= 0:
        raise SourceError(
            "incremental: a mapped task has no watermark, since which slice an index gets may change from run to run. "
            "Make a task of each slice, or go by data_interval"
        )
    return asset_key("sfbulk.watermark", ti.dag_id, ti.task_id)


def _run_key(context: Context) -> str:
    ti = context["ti"]
    return asset_key("sfbulk.window", ti.dag_id, ti.task_id, ti.run_id)


def read_watermark(context: Context, asset: Asset) -> datetime | None:
    """Read where the last published window ended; None before the first.

    :raises LedgerError: it cannot be read, or is none
    """
    key = watermark_key(context)
    known = _read(context, asset, key)
    if known is None:
        return None
    try:
        return moment(known, key)
    except SourceError as error:
        raise LedgerError(
            f"the watermark of asset {asset.name}: {error}. Set it anew in the asset's state store, or delete it to begin "
            "with initial"
        ) from error


def _read(context: Context, asset: Asset, key: str) -> Any:
    try:
        return _store(context, asset).get(key)
    except AirflowRuntimeError as error:
        raise LedgerError(f"the watermark {key} of asset {asset.name} could not be read; nothing was sent") from error


def _write(context: Context, asset: Asset, key: str, value: Any) -> None:
    try:
        _store(context, asset).set(key, value)
    except AirflowRuntimeError as error:
        raise LedgerError(
            f"the extract is published, but the watermark {key} of asset {asset.name} could not be moved on; a retry does"
        ) from error


def _store(context: Context, asset: Asset) -> Any:
    try:
        return context["asset_state_store"][asset]
    except KeyError as error:
        raise SourceError(f"incremental: asset {asset.name} has to be among the task's outlets or inlets") from error
