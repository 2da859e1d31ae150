"""What became of a load's records, from the results of all its jobs: counted, written where the user wants them, and those
that may go again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch
from airflow_provider_sfbulk.client.bulk1.waiting import ends_of
from airflow_provider_sfbulk.client.load.outcome import Outcome, find_outcome
from airflow_provider_sfbulk.client.load.still import may_be_at_work, wait_until_still
from airflow_provider_sfbulk.client.models import FileFormat
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.waiting.wait import poll_once
from airflow_provider_sfbulk.files.report import Report, ReportFiles
from airflow_provider_sfbulk.operators.summary import count_unchanged

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
    from airflow_provider_sfbulk.client.load.resend import RowsToResend
    from airflow_provider_sfbulk.client.load.rounds import ResendRule, Round
    from airflow_provider_sfbulk.client.models import JobInfo
    from airflow_provider_sfbulk.files.task_folder import TaskFolder
    from airflow_provider_sfbulk.operators.load.arguments import LoadArguments
    from airflow_provider_sfbulk.operators.load.input_again import InputAgain
    from airflow_provider_sfbulk.operators.task_run import TaskRun


class LoadResults:
    """Reads the results of a load.

    :param folder: opens the folder of the result files, if there is one
    """

    def __init__(
        self, run: TaskRun, options: LoadArguments, again: InputAgain, folder: Callable[[], TaskFolder | None]
    ) -> None:
        self._try = run
        self._options = options
        self._again = again
        self._folder = folder
        self._jobs = IngestCalls(run.client.api_version)
        self._jobs1 = Bulk1Calls(run.client.api_version)

    def find_out(
        self, rounds: Sequence[Round], infos: Sequence[JobInfo], rule: ResendRule | None
    ) -> tuple[Outcome, Report]:
        """Find out what became of all records. The result files are there afterwards, unless some may go again.

        :param infos: the last round's jobs, all final
        :param rule: what may go again; None: nothing
        """
        ends = self._ends(rounds, infos)
        parts = [part for each in rounds if each.mode is None for part in each.parts]
        if is_still := rule is not None and rule.unprocessed:
            ends |= self._try.run(wait_until_still(self._jobs, parts, ends))
        outcome, report = self._read(rounds, ends, rule)
        if outcome.again is not None and not is_still and any(may_be_at_work(ends[each.key], each) for each in parts):
            # Whenever the load is looked at, what went again is found in these results anew: they must not change then.
            outcome.again.close()
            ends |= self._try.run(wait_until_still(self._jobs, parts, ends))
            outcome, report = self._read(rounds, ends, rule)
        return outcome, report

    def chosen_again(self, rounds: Sequence[Round], rule: ResendRule) -> RowsToResend:
        """Choose the records of a round once more, by the rounds before it.

        :raises InputChangedError: when its rule chooses none now
        """
        given = self._again.given(rounds, rule)
        outcome = self._try.run(find_outcome(self._jobs, rounds, self._ends(rounds, ()), given=given, rule=rule))
        if outcome.again is None:
            raise self._again.changed()
        to_resend: RowsToResend = outcome.again
        return to_resend

    def files(self) -> ReportFiles | None:
        """Return the files to write, if the user wants any; the caller discards what is not committed."""
        folder = self._folder()
        if folder is None:
            return None
        results_format = FileFormat(self._options.results_format)
        return ReportFiles(folder, results_format, spreadsheet_safe=self._options.spreadsheet_safe)

    def commit(
        self,
        files: ReportFiles,
        outcome: Outcome,
        *,
        chosen: ChosenRows | None = None,
        operation: str | None = None,
    ) -> Report:
        """Make the files visible, then their manifest.

        :param chosen: rows that are sent, of an input that was compared with the org
        :param operation: what the manifest calls it; None: as the load's
        """
        return files.commit(
            outcome,
            sobject=self._options.sobject,
            operation=operation or self._options.operation,
            verify=self._try.ledger.verify,
            facts=count_unchanged(chosen),
        )

    def _read(
        self, rounds: Sequence[Round], ends: Mapping[str, JobInfo], rule: ResendRule | None
    ) -> tuple[Outcome, Report]:
        given = self._again.given(rounds, rule)
        files = self.files()
        try:
            flow = find_outcome(
                self._jobs, rounds, ends, given=given, rule=rule, files=None if files is None else files.by_kind
            )
            outcome = self._try.run(flow)
            report = Report()
            if files is not None and outcome.again is None:
                report = self.commit(files, outcome, chosen=self._again.chosen)
        finally:
            if files is not None:
                files.discard()
        return outcome, report

    def _ends(self, rounds: Sequence[Round], infos: Sequence[JobInfo]) -> dict[str, JobInfo]:
        """Read how the jobs of 2.0 and the batches of 1.0 have ended, by the keys of their parts.

        :param infos: jobs that are known to have ended
        """
        ends = {info.id: info for info in infos}
        parts = [part for each in rounds for part in each.parts]
        batches = [part for part in parts if isinstance(part, AcceptedBatch)]
        others = [part.job_id for part in parts if not isinstance(part, AcceptedBatch) and part.job_id not in ends]
        if others:
            ends.update((info.id, info) for info in self._try.run(poll_once(self._jobs, others)))
        if batches:
            ends.update(self._try.run(ends_of(self._jobs1, batches)))
        return ends
