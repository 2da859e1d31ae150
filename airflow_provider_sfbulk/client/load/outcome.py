"""The outcome of every record of a load, over all its rounds, and which records are sent again.

One pass goes over the rounds, in their order, and over each round's parts. It fetches a part's result files, verifies
that each is complete, and matches their rows with the rows that were sent. A row that a later round sent again is
skipped here, so every row appears with its last outcome. So each row of the input is in the result files once, and a
round that is yet to be sent has the input's own bytes.

The pass fetches as little as it can without guessing. If a job is ``JobComplete`` and has processed as many records as
were uploaded, its own counters are used, and only its failed records are fetched, for their codes. Everything else is
fetched, and the input read again, only to write result files or to send records again; before records are sent again,
the three result files of a part must add up to what was uploaded.

A round that went by Bulk API 1.0 needs neither matching nor the input: results come in the order of the request, and
what was sent is read back (``bulk1/outcome.py``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.bulk1 import load as load1
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.outcome import BatchOutcome, BatchRows, read_back, read_outcome
from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import InputChangedError, ProtocolError, Remedy, SourceError, StorageError
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.fingerprints import RowForm, fingerprint, fingerprint_keys, identities
from airflow_provider_sfbulk.client.load.in_order import match_in_order
from airflow_provider_sfbulk.client.load.matching import Indexes, match, match_by_key
from airflow_provider_sfbulk.client.load.part_end import PartEnd
from airflow_provider_sfbulk.client.load.resend import NumberedPart, RowsToResend
from airflow_provider_sfbulk.client.load.rounds import ResendRule, Round, is_refused_input
from airflow_provider_sfbulk.client.models import RESULT_KINDS, JobInfo, ResultKind, by_code
from airflow_provider_sfbulk.client.parts.pick import records_at
from airflow_provider_sfbulk.client.parts.split import Part
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.results.job_result import JobResult
from airflow_provider_sfbulk.client.results.result_files import ResultFile
from airflow_provider_sfbulk.client.results.typed import read_text
from airflow_provider_sfbulk.client.values.text_arrow import Array

NO_CODES: Final[Array] = pa.nulls(0, pa.string()).dictionary_encode()
"""The codes of no failed row."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Input:
    """A way to read the input again.

    :param parts: cuts it again, as it was cut; closed when the rest is not needed
    :param form: how rows with these columns are compared
    :param numbers: gives the numbers in the input, from 1, of a part's rows, where the parts have not all of them
    """

    parts: Callable[[], Generator[Part]]
    form: Callable[[Sequence[str]], RowForm]
    numbers: Callable[[Part], NDArray[np.int64]] | None = None

    def numbered(self, part: Part) -> NumberedPart:
        """Return a part with the numbers of its rows in the input."""
        return NumberedPart(part, None if self.numbers is None else self.numbers(part))


Files: TypeAlias = Mapping[ResultKind, ResultFile]

Fetched: TypeAlias = dict[tuple[str, ResultKind], JobResult]
"""Result files that are proven, by their jobs."""

_KEPT_FILES: Final = 4
"""Result files that are kept from one pass for the next: so many take no more disk than parts do while they are filled."""

Destinations: TypeAlias = NDArray[np.int16]
"""For each row of a kind, which later round takes it up; 0 for none."""


@dataclass
class Outcome:
    """What became of the records.

    :param counts: records of the input by their last outcome
    :param errors: those that failed, by Salesforce's code
    :param jobs: of every round, in order
    :param again: the records of the next round; None when there is none to be sent
    """

    counts: Counter[ResultKind] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    jobs: list[tuple[int, PartEnd]] = field(default_factory=list)
    again: RowsToResend | None = None

    @property
    def job_ids(self) -> list[str]:
        """Ids of the jobs, in order, each once: a job of Bulk API 1.0 has many parts."""
        return list(dict.fromkeys(sent.job.id for _, sent in self.jobs))


def find_outcome(
    jobs: IngestCalls,
    rounds: Sequence[Round],
    infos: Mapping[str, JobInfo],
    *,
    given: Input,
    rule: ResendRule | None = None,
    files: Files | None = None,
) -> Flow[Outcome]:
    """Find out what became of every record.

    :param rounds: of the load, from the first
    :param infos: the final state of every job, by id; of every batch of Bulk API 1.0, by its short id
    :param given: the input, read again only when it is needed
    :param rule: what may be sent again
    :param files: where the rows go, by kind. They are left uncommitted, and are worthless when records are sent again
    :raises ProtocolError: when a job's files do not add up to what was uploaded to it
    :raises InputChangedError: when records should be sent again, but the input is no longer what it was
    :raises StorageError: when it cannot be read now
    :raises TransportError: when a file stays cut
    """
    rules = {each.number: each.rule for each in rounds if each.rule is not None}
    if rule is not None:
        rules[len(rounds)] = rule
    fetched: Fetched = {}
    try:
        if files is None:
            counted = yield from _Pass(jobs, rounds, infos, rules, None, None, fetched).run()
            # Records that could not be told apart were not sent on, whatever the rule says: then these do not add up.
            if not counted.resent and counted.adds_up:
                return counted.outcome
        passed = yield from _Pass(jobs, rounds, infos, rules, given, files, fetched).run()
        return passed.outcome
    finally:
        for left in fetched.values():
            left.discard()


class _Pass:
    """One pass.

    :param fetched: result files of an earlier pass, taken up here; without an input some are left here for the next one
    :ivar resent: records of the round that is yet to be sent
    """

    def __init__(
        self,
        jobs: IngestCalls,
        rounds: Sequence[Round],
        infos: Mapping[str, JobInfo],
        rules: Mapping[int, ResendRule],
        given: Input | None,
        files: Files | None,
        fetched: Fetched,
    ) -> None:
        self.outcome = Outcome()
        self.resent = 0
        self._jobs = jobs
        self._rounds = rounds
        self._infos = infos
        self._rules = rules
        self._given = given
        self._files = files
        self._fetched = fetched
        self._to_resend: dict[int, RowsToResend] = {number: RowsToResend() for number in rules}
        self._unreadable: Exception | None = None

    def run(self) -> Flow[_Pass]:
        try:
            for each in self._rounds:
                yield from self._round(each)
            if self._given is not None:
                self._check()
        except BaseException:
            self._close(all_of_them=True)
            raise
        following = self._to_resend.get(len(self._rounds))
        self.outcome.again = following if following is not None and following.records else None
        self._close(all_of_them=self.outcome.again is None)
        return self

    @property
    def adds_up(self) -> bool:
        """Whether each record of the input has one last outcome, or goes again."""
        sent = sum(part.records for part in self._rounds[0].parts)
        return sum(self.outcome.counts.values()) + self.resent == sent

    def _check(self) -> None:
        """Refuse an outcome that loses sight of a record.

        :raises InputChangedError: when it is for want of the input; as StorageError when that cannot be read now
        """
        if self.adds_up:
            return
        if self._unreadable is not None:
            raise self._unreadable
        raise ProtocolError(
            f"the results of the load do not add up: {sum(part.records for part in self._rounds[0].parts)} records were "
            f"sent, but {sum(self.outcome.counts.values())} have an outcome. Nothing is sent again: compare the jobs' "
            "result files with the input."
        )

    def _close(self, *, all_of_them: bool) -> None:
        for number, to_resend in self._to_resend.items():
            if all_of_them or number < len(self._rounds):
                to_resend.close()

    def _round(self, one: Round) -> Flow[None]:
        with self._rows_of(one) as rows:
            for part in one.parts:
                sent = PartEnd(part, self._infos[part.key])
                self.outcome.jobs.append((one.number, sent))
                with ExitStack() as stack:
                    numbered = self._next(rows, part)
                    if numbered is not None:
                        stack.callback(numbered.part.close)
                    if isinstance(part, load1.AcceptedBatch):
                        yield from self._batch(one.number, part, sent, numbered)
                    else:
                        yield from self._part(one.number, sent, numbered, stack)

    @contextmanager
    def _rows_of(self, one: Round) -> Iterator[Iterator[NumberedPart] | None]:
        if self._given is None or (one.number == 0 and one.mode is not None):
            yield None
        elif one.number == 0:
            with closing(self._given.parts()) as parts:
                yield (self._given.numbered(part) for part in parts)
        else:
            assert one.rule is not None
            yield self._to_resend[one.number].parts(
                max_bytes=one.cut.part_bytes,
                max_records=one.cut.part_records,
                sort_by=one.rule.sort_by,
                commas=one.mode is not None,
            )

    def _next(self, rows: Iterator[NumberedPart] | None, part: UploadedPart) -> NumberedPart | None:
        """Read the next part again; None when it is not what was uploaded, and the reason is kept."""
        if rows is None or self._unreadable is not None:
            return None
        try:
            numbered = next(rows, None)
        except (SourceError, StorageError, OSError) as error:
            self._cannot_read(error, part)
            return None
        if numbered is None or numbered.part.sha256 != part.sha256:
            if numbered is not None:
                numbered.part.close()
            self._cannot_read(None, part)
            return None
        return numbered

    def _cannot_read(self, cause: Exception | None, part: UploadedPart) -> None:
        where = f"first in part {part.number} (job {part.job_id})"
        only = "Records that were not saved can be sent again only from the same input: restore it"
        if isinstance(cause, (StorageError, OSError)):  # the same input may be there for the next try
            message = f"{cause}. The input could not be read again, {where}. {only}"
            self._unreadable = StorageError(message, remedy=Remedy.KEEP_PARTS)
        else:
            why = f"it cannot be read ({cause})" if cause is not None else "it has other records than were uploaded"
            message = f"the input has changed since it was uploaded: {why}, {where}. {only}"
            self._unreadable = InputChangedError(message, remedy=Remedy.KEEP_PARTS)
        self._unreadable.__cause__ = cause
        log.warning("the results cannot be matched to rows of the input: %s", self._unreadable)

    def _part(self, number: int, sent: PartEnd, numbered: NumberedPart | None, stack: ExitStack) -> Flow[None]:
        results: dict[ResultKind, JobResult] = {}

        def fetch(kind: ResultKind) -> Flow[None]:
            expected = sent.expected(kind)
            if expected == 0:
                return
            at = (sent.job.id, kind)
            sink = self._fetched.pop(at, None)
            if sink is None:
                sink = JobResult(sent.job.id, dialect_of(sent.job), kind, expect_records=expected)
                yield from self._jobs.at(sent.job.api_version).results(sent.job.id, kind, sink)
            if self._given is None and sink.records and len(self._fetched) < _KEPT_FILES:
                self._fetched[at] = sink
            else:
                stack.callback(sink.discard)
            if sink.records:
                results[kind] = sink

        for kind in ("failed", "unprocessed"):
            yield from fetch(kind)
        codes = results["failed"].codes() if "failed" in results else NO_CODES
        next_round = {
            kind: self._destinations(number, sent, kind, result.records, codes) for kind, result in results.items()
        }
        any_resent = any(places.any() for places in next_round.values())
        if self._files is not None or not sent.counters_are_final or (any_resent and self._given is not None):
            yield from fetch("successful")
            self._check_sum(sent, results)
        if "successful" in results:
            next_round["successful"] = np.zeros(results["successful"].records, dtype=np.int16)
        else:
            self.outcome.counts["successful"] += sent.expected("successful") or 0
        indexes = self._match(results, numbered)
        if self._given is not None:
            self._send_on(sent, numbered, next_round, indexes)
        self._count(next_round, codes)
        if self._files is not None:
            for kind, result in results.items():
                self._files[kind].add(result, next_round[kind] == 0, _InputRows(numbered, indexes.get(kind), result))

    def _batch(
        self, number: int, batch: load1.AcceptedBatch, sent: PartEnd, numbered: NumberedPart | None
    ) -> Flow[None]:
        """Find out what became of a batch of Bulk API 1.0."""
        if sent.counters_are_final and not sent.job.failed and self._files is None:
            self.outcome.counts["successful"] += batch.records
            return
        jobs = Bulk1Calls(self._jobs.api_version)
        outcome: BatchOutcome = yield from read_outcome(jobs, batch, sent.job)
        codes = outcome.codes.dictionary_encode()
        indexes = {kind: places for kind in RESULT_KINDS if len(places := outcome.places(kind))}
        next_round = {
            kind: np.zeros(len(places), dtype=np.int16)
            if kind == "successful"
            else self._destinations(number, sent, kind, len(places), codes)
            for kind, places in indexes.items()
        }
        any_resent = any(places.any() for places in next_round.values())
        if self._given is not None and (self._files is not None or any_resent):
            part = yield from read_back(jobs, batch)
            # Of a later round the input's numbers are known from the rounds before, unless these could not be read.
            none = NumberedPart(part, np.zeros(part.records, dtype=np.int64))
            known = self._given.numbered(part) if number == 0 else none
            read = known if numbered is None else replace(numbered, part=part)
            if any_resent:
                self._send_on(sent, read, next_round, indexes)
            if self._files is not None:
                for kind, places in indexes.items():
                    rows = BatchRows(batch.job_id, kind, part, outcome.results, places)
                    self._files[kind].add(rows, next_round[kind] == 0, read.numbers_at(places))
        self._count(next_round, codes)

    def _destinations(self, number: int, sent: PartEnd, kind: ResultKind, records: int, codes: Array) -> Destinations:
        """Return for each row of a kind which later round takes it up; 0 for none.

        :param codes: of the failed rows
        """
        later = [(at, rule) for at, rule in sorted(self._rules.items()) if at > number]
        if kind == "unprocessed":
            refused = is_refused_input(sent.job)
            place = next((at for at, rule in later if rule.unprocessed and (rule.refused or not refused)), 0)
            return np.full(records, place, dtype=np.int16)
        places = [next((at for at, rule in later if rule.takes(code)), 0) for code in codes.dictionary.to_pylist()]
        found: Destinations = np.array(places, dtype=np.int16)[codes.indices.to_numpy()]
        return found

    @staticmethod
    def _check_sum(sent: PartEnd, results: Mapping[ResultKind, JobResult]) -> None:
        found = {kind: results[kind].records if kind in results else 0 for kind in RESULT_KINDS}
        if sum(found.values()) != sent.part.records:
            raise ProtocolError(
                f"the results of job {sent.job.id} ({sent.job.state}) do not add up: {sent.part.records} records were "
                f"uploaded, but its result files have {', '.join(f'{count} {kind}' for kind, count in found.items())}. "
                "Nothing is sent again. Salesforce may still be writing the files",
                job_id=sent.job.id,
                remedy=Remedy.GO_ON,
            )

    def _match(
        self, results: Mapping[ResultKind, JobResult], numbered: NumberedPart | None
    ) -> Mapping[ResultKind, Indexes]:
        """Return for each row of the results the row of the part that it is, from 0; -1 where that is unknown."""
        if numbered is None or self._given is None or not results:
            return {}
        columns = _columns(numbered.part)
        for result in results.values():
            result.check_columns(columns)
        form = self._given.form(columns)
        counts = {kind: result.records for kind, result in results.items()}
        if sum(counts.values()) == numbered.part.records:
            found = match_in_order(
                identities(_rows(numbered.part, form.key or None), form),
                {kind: identities(result.batches(), form) for kind, result in results.items()},
                counts,
            )
            if found is not None:
                return found
        with ExitStack() as held:
            if form.key:
                own = fingerprint_keys(_rows(numbered.part, form.key), form)
                held.callback(own.close)
                keys = {kind: fingerprint_keys(result.batches(), form) for kind, result in results.items()}
                for each in keys.values():
                    held.callback(each.close)
                found = match_by_key(own, keys)
                if found is not None:
                    return found
            rows = fingerprint(_rows(numbered.part), form)
            held.callback(rows.close)
            values = {kind: fingerprint(result.batches(), form) for kind, result in results.items()}
            for whole in values.values():
                held.callback(whole.close)
            return match(rows, values).rows

    def _send_on(
        self,
        sent: PartEnd,
        numbered: NumberedPart | None,
        next_round: dict[ResultKind, Destinations],
        indexes: Mapping[ResultKind, NDArray[np.integer[Any]]],
    ) -> None:
        """Put rows that a later round takes up to its others. Those that cannot be told apart stay where they are."""
        if not any(places.any() for places in next_round.values()):
            return
        if numbered is None:
            assert self._unreadable is not None
            if any((places == len(self._rounds)).any() for places in next_round.values()):
                raise self._unreadable
            return
        untold = 0
        for kind, places in next_round.items():
            blind = (places > 0) & (indexes[kind] < 0)
            untold += int(blind.sum())
            places[blind] = 0
        if untold:
            log.warning(
                "job %s: %d records cannot be sent again, because they cannot be told from others of the input. "
                "For the next load, set key_columns to columns that identify a record",
                sent.job.id,
                untold,
            )
        columns = _columns(numbered.part)
        for place in sorted({int(place) for places in next_round.values() for place in np.unique(places)} - {0}):
            rows = np.sort(np.concatenate([indexes[kind][places == place] for kind, places in next_round.items()]))
            blocks = records_at(numbered.part.body.chunks(), rows)
            self._to_resend[place].add(columns, numbered.part.dialect, blocks, numbered.numbers_at(rows))

    def _count(self, next_round: Mapping[ResultKind, Destinations], codes: Array) -> None:
        for kind, places in next_round.items():
            stays = places == 0
            self.outcome.counts[kind] += int(stays.sum())
            self.resent += int((places == len(self._rounds)).sum())
            if kind == "failed":
                names = codes.dictionary.to_pylist()
                each = np.bincount(codes.indices.to_numpy()[stays], minlength=len(names)).tolist()
                found = Counter({name: count for name, count in zip(names, each, strict=True) if count})
                self.outcome.errors = Counter(by_code(self.outcome.errors + found))


def _columns(part: Part) -> tuple[str, ...]:
    """Read the columns that were uploaded."""
    with closing(read_text(part.body.chunks(), part.dialect)) as batches:
        return tuple(next(batches).schema.names)


def _rows(part: Part, only: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
    """Read the rows that were uploaded, or some of their columns."""
    return read_text(part.body.chunks(), part.dialect, only=only)


@dataclass(frozen=True)
class _InputRows:
    """The numbers in the input of a result's rows."""

    numbered: NumberedPart | None
    indexes: Indexes | None
    result: JobResult

    def __getitem__(self, rows: slice, /) -> NDArray[np.int64]:
        if self.numbered is None or self.indexes is None:
            return np.zeros(len(range(*rows.indices(self.result.records))), dtype=np.int64)
        indexes = self.indexes[rows]
        return np.where(indexes < 0, 0, self.numbered.numbers_at(indexes))
