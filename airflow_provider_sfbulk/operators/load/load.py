"""One load in one try of its task: fills and closes a round, reads the outcome of all rounds, and sends again what may
be sent again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.bulk1 import load as load1
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec
from airflow_provider_sfbulk.client.check.check import InputCheck
from airflow_provider_sfbulk.client.check.listing import ProblemFile
from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import NotFoundError, SourceError
from airflow_provider_sfbulk.client.load import fill as ingest
from airflow_provider_sfbulk.client.load.outcome import Outcome
from airflow_provider_sfbulk.client.load.resend import RowsToResend
from airflow_provider_sfbulk.client.load.rounds import PartLimits, ResendRule, Round, recorded_rounds
from airflow_provider_sfbulk.client.models import RESULT_KINDS, ConcurrencyMode, JobInfo, JobType, Operation
from airflow_provider_sfbulk.client.parts.split import Part
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec
from airflow_provider_sfbulk.files.paths import path_text
from airflow_provider_sfbulk.files.report import Report
from airflow_provider_sfbulk.files.room import check_room
from airflow_provider_sfbulk.operators.load.comparison import Comparison
from airflow_provider_sfbulk.operators.load.input import parts_of
from airflow_provider_sfbulk.operators.load.input_again import InputAgain
from airflow_provider_sfbulk.operators.load.results import LoadResults
from airflow_provider_sfbulk.operators.summary import count_unchanged, load_summary
from airflow_provider_sfbulk.operators.verdict import judge
from airflow_provider_sfbulk.task.lineage import Lineage, field_types, file_place, is_wanted, object_place
from airflow_provider_sfbulk.task.metrics import count_load
from airflow_provider_sfbulk.task.progress import Phase
from airflow_provider_sfbulk.task.reporter import log_group

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.check.report import CheckReport
    from airflow_provider_sfbulk.client.compare.input_rows import InputRows
    from airflow_provider_sfbulk.files.task_folder import TaskFolder
    from airflow_provider_sfbulk.operators.load.arguments import LoadArguments
    from airflow_provider_sfbulk.operators.load.input import LoadInput
    from airflow_provider_sfbulk.operators.task_run import TaskRun

_COLUMNS: Final = "columns.0"
"""Where the ledger keeps the columns' names, for OpenLineage: when the load ends, its input may be read no more."""

LOCKED: Final = ("UNABLE_TO_LOCK_ROW",)
"""Code of failures that a serial job may fix: its batches do not compete with each other."""

log = logging.getLogger(__name__)


class Load:
    """The load that a try is at.

    :param source: the input
    :param results: opens the folder of the results, if there is one
    """

    def __init__(
        self,
        run: TaskRun,
        options: LoadArguments,
        source: LoadInput,
        *,
        results: Callable[[], TaskFolder | None],
    ) -> None:
        self._try = run
        self._client = run.client
        self._ledger = run.ledger
        self._options = options
        self._operation = Operation(options.operation)
        self._input = source
        self._again = InputAgain(run, options, source, lambda: self._describe)
        self._results = LoadResults(run, options, self._again, results)
        self._jobs = IngestCalls(run.client.api_version)
        self._jobs1 = Bulk1Calls(run.client.api_version)

    def rounds(self) -> list[Round]:
        """Read the decided rounds."""
        return self._try.run(recorded_rounds())

    def show(self, rounds: Sequence[Round]) -> list[str]:
        """Show the jobs of decided rounds.

        :return: ids of the last round's, which are to be waited for
        """
        # After a deferral, too: the last round says which API it uses.
        self._try.job_type = _job_type(rounds[-1].mode)
        job_ids = list(dict.fromkeys(each.job_id for each in rounds[-1].parts))
        self._try.reporter.at(rounds)
        self._try.show_jobs(job_ids)
        return job_ids

    def comparison(self) -> Comparison:
        """Get ready to compare the input with the org."""
        return Comparison(self._try, self._input, self._describe)

    def fill_first(self, plan: Mapping[str, Any], rows: InputRows | None = None) -> list[Round]:
        """Upload the input, decide, and close its jobs; by Bulk API 1.0 read it, decide, and send its batches.

        :param plan: what makes the load what it is, recorded with the decision
        :param rows: of the input, compared with the org: only those that differ are uploaded. None: all are
        """
        chosen = None if rows is None else rows.chosen
        for earlier in range(self._ledger.load, self._ledger.attempt):
            if (left_behind := self._again.staging(earlier)) is not None:
                left_behind.remove()
        mode = self._options.mode
        cut = self._cut(mode)
        check_room(cut.part_bytes, self._options.max_concurrent_jobs, self._input.csv_bytes)
        staging = self._again.staging(self._ledger.attempt)
        note = Round.note(cut, attempt=self._ledger.attempt, mode=mode)
        note |= {"plan": dict(plan), "files": self._input.files}
        note |= {} if chosen is None else {"compared": chosen.to_dict()}
        if staging is not None:
            staging.begin()
        try:
            with closing(
                self._input.parts(self._describe, cut)
                if rows is None or chosen is None
                else parts_of(chosen.only(rows.streams()), cut)
            ) as parts:
                self._send(0, parts if staging is None else staging.keep(parts), note, mode)
        except SourceError:
            if staging is not None:
                staging.remove()
            raise
        if is_wanted():
            self._ledger.record(_COLUMNS, {"names": list(self._input.columns)})
        return self.rounds()

    def close_last(self) -> list[Round]:
        """Close what an earlier try has decided."""
        log.info("an earlier try has read the whole input: going on with its jobs")
        rounds = self.rounds()
        if self._input.is_in_memory and rounds[0].is_sent:
            self._again.check_unchanged(rounds[0])
        last = rounds[-1]
        with closing(self._unsent(rounds)) as parts:
            self._send(last.number, parts, {}, last.mode)
        return rounds if last.is_sent else self.rounds()

    def _unsent(self, rounds: Sequence[Round]) -> Generator[Part]:
        """Read the parts of the last round again, which an earlier try began to send by Bulk API 1.0."""
        last = rounds[-1]
        if last.is_sent:
            return
        if last.number == 0:
            yield from self._again.parts(last)
            return
        assert last.rule is not None, "a later round has a rule"
        with closing(self._results.chosen_again(rounds[:-1], last.rule)) as to_resend:
            for each in to_resend.parts(
                max_bytes=last.cut.part_bytes,
                max_records=last.cut.part_records,
                sort_by=last.rule.sort_by,
                commas=True,
            ):
                yield each.part

    def check(self, operation: str) -> tuple[CheckReport, Report]:
        """Check the input instead of loading it, and list the problems where the results would go.

        :param operation: what the manifest calls it
        :raises EmptyInputError: when it has no records
        """
        self._try.reporter.enter(Phase.CHECKING)
        files = self._results.files()
        listing = None if files is None else ProblemFile(files.by_kind["failed"])
        check = InputCheck(self._describe, self._input.rules, self._cut(self._options.mode), listing=listing)
        report = Report()
        try:
            with closing(self._input.streams(self._describe, check.rules)) as streams:
                found = check.read(streams)
            if files is not None:
                outcome = Outcome(errors=Counter(found.errors))
                outcome.counts["failed"] = found.failed
                report = self._results.commit(files, outcome, operation=operation)
        finally:
            if files is not None:
                files.discard()
        return found, report

    def settle(
        self, rounds: Sequence[Round], infos: Sequence[JobInfo], plan: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Find out what became of all records, and send again what may be.

        :param infos: the last round's jobs, all final
        :param plan: what makes the load what it is, as the task describes it now
        :return: the task's result; None when another round has been sent
        :raises FailedRecordsError: when more records failed than allowed
        :raises JobFailedError: when records were not processed
        :raises InputChangedError: when records should be sent again, and the task describes another load since a deferral
        """
        rule, mode = self._rule(rounds)
        self._try.reporter.enter(Phase.READING)
        with log_group(log, "Reading the results"):
            outcome, report = self._results.find_out(rounds, infos, rule)
        if outcome.again is not None:
            assert rule is not None
            with closing(outcome.again) as to_resend:
                self._ledger.check_load(plan)
                self._send_again(len(rounds), to_resend, rule, mode)
            return None
        total = sum(part.records for part in rounds[0].parts)
        chosen = self._again.chosen
        log.info(
            "%s records sent in %s job(s): %s saved, %s failed, %s not processed",
            *(
                f"{count:,}"
                for count in (total, len(outcome.job_ids), *(outcome.counts[kind] for kind in RESULT_KINDS))
            ),
        )
        if chosen is not None:
            log.info("%s of the input's rows were not sent: the org had them as they are", f"{chosen.unchanged:,}")
        self._try.reporter.found(
            {**{kind: outcome.counts[kind] for kind in RESULT_KINDS}, **count_unchanged(chosen)},
            errors=outcome.errors,
            files={kind: report.files[kind] for kind in RESULT_KINDS},
            manifest=report.manifest,
        )
        self._count(outcome)
        self._try.note_lineage(lambda: self._lineage(outcome, total))
        judge(
            outcome,
            self._ledger,
            last_round=rounds[-1].number,
            allowed=self._options.max_failed_records,
            total=total,
            where=report.files["failed"],
            unprocessed_files=report.files["unprocessed"],
        )
        summary = self._summary(outcome, report, chosen)
        self._ledger.finish(summary)
        self.forget_parts(rounds)
        return summary

    def finish_empty(self, chosen: ChosenRows | None = None) -> dict[str, Any]:
        """Return the result of a load that has nothing to send, with its manifest.

        :param chosen: of an input of which no row differs; None for one without records
        """
        outcome, report = Outcome(), Report()
        files = self._results.files()
        if files is not None:
            try:
                report = self._results.commit(files, outcome, chosen=chosen)
            finally:
                files.discard()
        self._try.reporter.found(
            {**dict.fromkeys(RESULT_KINDS, 0), **count_unchanged(chosen)},
            files={kind: report.files[kind] for kind in RESULT_KINDS},
            manifest=report.manifest,
        )
        summary = self._summary(outcome, report, chosen)
        self._ledger.finish(summary)
        return summary

    def _lineage(self, outcome: Outcome, total: int) -> Lineage:
        names = (self._ledger.recall(_COLUMNS) or {"names": ()})["names"]
        address, read = self._client.instance_url, self._input.paths
        # How many of the records are of which path is not known.
        records = total if len(read) == 1 else None
        inputs = [
            file_place(path_text(each), columns=[(name, None) for name in names], records=records) for each in read
        ]
        saved = object_place(
            address,
            self._options.sobject,
            columns=field_types(self._describe, names),
            records=outcome.counts["successful"],
        )
        counts: dict[str, int] = {kind: outcome.counts[kind] for kind in RESULT_KINDS}
        facts = {"operation": self._options.operation, **counts, "errors": dict(outcome.errors)}
        return Lineage(address, list(outcome.job_ids), inputs, [saved], statement=self._options.sql, facts=facts)

    def _count(self, outcome: Outcome) -> None:
        """Count the load for Airflow's metrics: of one that was judged before, what came since."""
        judged = self._ledger.judged_round
        new = [sent.job for number, sent in outcome.jobs if judged is None or number > judged]
        if new:
            counts: dict[str, int] = {kind: outcome.counts[kind] for kind in RESULT_KINDS}
            if judged is not None:
                counts["successful"] = sum(job.successful for job in new)
            count_load(counts, outcome.errors, new, tags=self._options.metric_tags)

    def forget_parts(self, rounds: Sequence[Round] | None = None) -> None:
        """Remove the parts that were kept for a retry."""
        first = (rounds or self.rounds())[0]
        if (staging := self._again.staging(first.attempt)) is not None:
            staging.remove()

    # Sending

    def _cut(self, mode: ConcurrencyMode | None) -> PartLimits:
        part_bytes, part_records = self._options.part_bytes, self._options.part_records
        if mode is None:
            return PartLimits(part_bytes=part_bytes, part_records=part_records)
        return PartLimits(
            part_bytes=min(part_bytes, limits.BATCH_CHARACTERS), part_records=min(part_records, limits.BATCH_RECORDS)
        )

    def _send(self, number: int, parts: Iterator[Part], note: dict[str, Any], mode: ConcurrencyMode | None) -> None:
        """Send a round, or go on with it.

        :param mode: of a job of Bulk API 1.0; None for jobs of 2.0
        """
        self._try.job_type = _job_type(mode)
        self._try.reporter.enter(Phase.SENDING)
        with log_group(log, f"Sending round {number}" if number else "Sending the input"):
            self._try.run(self._sending(number, parts, note, mode))

    def _sending(
        self, number: int, parts: Iterator[Part], note: dict[str, Any], mode: ConcurrencyMode | None
    ) -> Flow[Any]:
        options, on_job = self._options, self._try.show_new_job
        if mode is not None:
            spec1 = Bulk1JobSpec(
                options.sobject,
                self._operation,
                options.external_id_field,
                options.assignment_rule_id,
                concurrency_mode=mode,
            )
            return load1.load(self._jobs1, spec1, parts, number=number, note=note, compress=True, on_job=on_job)
        spec = IngestSpec(
            sobject=options.sobject,
            operation=self._operation,
            external_id_field=options.external_id_field,
            assignment_rule_id=options.assignment_rule_id,
        )
        limit = options.max_concurrent_jobs
        return ingest.load(self._jobs, spec, parts, limit=limit, number=number, note=note, on_job=on_job)

    def _send_again(self, number: int, to_resend: RowsToResend, rule: ResendRule, mode: ConcurrencyMode | None) -> None:
        log.info(
            "sending %s records again, in round %d%s: %s",
            f"{to_resend.records:,}",
            number,
            "" if mode is None else f", {mode.lower()} by Bulk API 1.0",
            "all that failed"
            if rule.codes is None
            else f"those that failed with {', '.join(rule.codes) or 'nothing'}"
            + (", and those that were not processed" if rule.unprocessed else ""),
        )
        cut = self._cut(mode)
        numbered = to_resend.parts(
            max_bytes=cut.part_bytes,
            max_records=cut.part_records,
            sort_by=rule.sort_by,
            commas=mode is not None,
        )
        note = Round.note(cut, attempt=self._ledger.attempt, rule=rule, mode=mode)
        self._send(number, (each.part for each in numbered), note, mode)

    def _rule(self, rounds: Sequence[Round]) -> tuple[ResendRule | None, ConcurrencyMode | None]:
        """Return what may be sent again now, and in which mode of Bulk API 1.0 if not by 2.0.

        A user's clear of a load that ended with failed records asks for all of them. Otherwise some codes pass by
        themselves, for so many rounds in one try. Records that were locked in all of them go into one serial job, if
        the user allows it. What no job has tried waits for another try: in this one the reason is most likely still
        there.
        """
        options, attempt = self._options, self._ledger.attempt
        made_here = [each for each in rounds if each.rule is not None and each.attempt == attempt]
        codes: tuple[str, ...] | None = ()
        mode = options.mode
        asks_for_all = self._ledger.asks_for_all(rounds[-1].number)
        if asks_for_all:
            codes = None
        elif len(made_here) < options.max_record_retries:
            codes = tuple(options.retry_codes)
        elif options.serial_fallback and all(each.mode is not ConcurrencyMode.SERIAL for each in made_here):
            codes, mode = LOCKED, ConcurrencyMode.SERIAL
        waited = rounds[-1].attempt < attempt
        keys = self._again.key_columns(each.rule for each in rounds)
        rule = ResendRule(
            codes=codes, unprocessed=waited, refused=asks_for_all, sort_by=self._sort_by, key_columns=keys
        )
        return (rule if rule.codes != () or rule.unprocessed else None), mode

    @property
    def _sort_by(self) -> str | None:
        column = self._options.sort_by
        return None if column is None else self._input.target(column)

    @cached_property
    def _describe(self) -> dict[str, Any]:
        try:
            return self._client.describe(self._options.sobject)
        except NotFoundError as error:
            raise SourceError(f"there is no object {self._options.sobject}, or this user cannot see it") from error

    def _summary(self, outcome: Outcome, report: Report, chosen: ChosenRows | None) -> dict[str, Any]:
        return load_summary(
            outcome,
            report,
            sobject=self._options.sobject,
            operation=self._options.operation,
            unchanged=count_unchanged(chosen),
            api_calls=self._try.api_calls,
        )


def _job_type(mode: ConcurrencyMode | None) -> JobType:
    return JobType.INGEST if mode is None else JobType.CLASSIC
