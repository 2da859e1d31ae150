"""The result files of a load, and the manifest that names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_sfbulk.client.bulk1 import load as load1
from airflow_provider_sfbulk.client.models import RESULT_KINDS, FileFormat, ResultKind
from airflow_provider_sfbulk.client.results.result_files import ResultFile

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.load.outcome import Outcome
    from airflow_provider_sfbulk.client.load.part_end import PartEnd
    from airflow_provider_sfbulk.files.task_folder import TaskFolder


@dataclass
class Report:
    """The places of the result files.

    :param files: URIs by kind
    :param manifest: URI of the manifest; None without files
    :param conn_id: connection of the storage they are in
    """

    files: dict[ResultKind, list[str]] = field(default_factory=lambda: {kind: [] for kind in RESULT_KINDS})
    manifest: str | None = None
    conn_id: str | None = None


class ReportFiles:
    """The result files while they are written: one for each kind that has rows, over all jobs, and the manifest.

    They have fixed names, so that a repeated run replaces them; files of an earlier run for which this one has no rows, or
    another format, are removed. Nothing is visible before :meth:`commit`.
    """

    def __init__(self, folder: TaskFolder, results_format: FileFormat, *, spreadsheet_safe: bool = False) -> None:
        self._folder = folder
        self.by_kind: dict[ResultKind, ResultFile] = {
            kind: ResultFile(
                folder.output, f"{kind}.{results_format}", kind, results_format, spreadsheet_safe=spreadsheet_safe
            )
            for kind in RESULT_KINDS
        }
        self._names = {kind: f"{kind}.{results_format}" for kind in RESULT_KINDS}

    def commit(
        self,
        outcome: Outcome,
        *,
        sobject: str,
        operation: str,
        verify: Callable[[], None],
        facts: Mapping[str, Any],
    ) -> Report:
        """Make the files visible, the manifest last.

        :param facts: what the manifest says beyond the outcome
        :param verify: raises when another try has taken over: asked before every step, since a try may freeze at any
        :raises SourceError: when another task's files are there, or files that are not this package's
        """
        report = Report(conn_id=self._folder.conn_id)
        shows = {self._names[kind] for kind, file in self.by_kind.items() if file.records}
        verify()
        self._folder.claim(may_show=shows, shows=shows)
        verify()
        self._folder.withdraw()
        for kind, file in self.by_kind.items():
            verify()
            if (uri := file.commit()) is not None:
                report.files[kind].append(uri)
        for name in (self._folder.before | self._folder.stray) - shows:
            verify()
            self._folder.output.remove(name)
        manifest = {
            "sobject": sobject,
            "operation": operation,
            "counts": {kind: outcome.counts[kind] for kind in RESULT_KINDS},
            **facts,
            "errors": dict(outcome.errors),
            "files": report.files,
            "jobs": _jobs(outcome.jobs),
        }
        verify()
        report.manifest = self._folder.finish(manifest)
        self._folder.leave()
        return report

    def discard(self) -> None:
        """Remove unfinished files. Does nothing after :meth:`commit`."""
        for file in self.by_kind.values():
            file.discard()


def _jobs(jobs: Sequence[tuple[int, PartEnd]]) -> list[dict[str, Any]]:
    return [
        {
            "id": sent.job.id,
            "round": number,
            "state": str(sent.job.state),
            "records": sent.part.records,
            "sha256": sent.part.sha256,
            "processed": sent.job.processed,
            "failed": sent.job.failed,
            **({"batch": sent.part.batch_id} if isinstance(sent.part, load1.AcceptedBatch) else {}),
        }
        for number, sent in jobs
    ]
