"""The result files of a load, and the manifest that names them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk.client.flows import load1
from airflow_provider_sfbulk.client.flows.settle import KINDS, Kind
from airflow_provider_sfbulk.client.models import FileFormat
from airflow_provider_sfbulk.client.records.output import Output
from airflow_provider_sfbulk.client.records.results import ResultFile

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.flows.outcome import Outcome, Sent

MANIFEST: Final = "manifest.json"


@dataclass
class Report:
    """Where the files of results are.

    :param files: URIs by kind
    :param manifest: URI of the manifest; None without files
    """

    files: dict[Kind, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    manifest: str | None = None


class ReportFiles:
    """The files of results while they are written: one of each kind that has rows, over all jobs, and the manifest.

    They have fixed names, so that a repeated run replaces them; those of an earlier run that this one has no rows for, or
    writes in another format, are removed. Nothing is visible before :meth:`commit`.
    """

    def __init__(self, output: Output, results_format: FileFormat) -> None:
        self._output = output
        self._format = results_format
        self.by_kind: dict[Kind, ResultFile] = {
            kind: ResultFile(output, f"{kind}.{results_format}", kind, results_format) for kind in KINDS
        }

    def commit(self, outcome: Outcome, *, sobject: str, operation: str, verify: Callable[[], None]) -> Report:
        """Make the files visible, the manifest last.

        :param verify: raises when another try has taken over: asked before every step, since a try may freeze at any
        """
        report = Report()
        verify()
        self._output.remove(MANIFEST)
        for kind, file in self.by_kind.items():
            verify()
            uri = file.commit()
            for each in FileFormat:
                if each is not self._format or uri is None:
                    self._output.remove(f"{kind}.{each}")
            if uri is not None:
                report.files[kind].append(uri)
        manifest = {
            "sobject": sobject,
            "operation": operation,
            "counts": {kind: outcome.counts[kind] for kind in KINDS},
            "errors": dict(outcome.errors),
            "files": report.files,
            "jobs": _jobs(outcome.jobs),
        }
        verify()
        report.manifest = write_json(self._output, MANIFEST, manifest)
        return report

    def discard(self) -> None:
        """Leave nothing behind. Does nothing after :meth:`commit`."""
        for file in self.by_kind.values():
            file.discard()


def _jobs(jobs: Sequence[tuple[int, Sent]]) -> list[dict[str, Any]]:
    return [
        {
            "id": sent.job.id,
            "round": number,
            "state": str(sent.job.state),
            "records": sent.part.records,
            "sha256": sent.part.sha256,
            "processed": sent.job.processed,
            "failed": sent.job.failed,
            **({"batch": sent.part.batch_id} if isinstance(sent.part, load1.Sent) else {}),
        }
        for number, sent in jobs
    ]


def write_json(output: Output, name: str, value: dict[str, Any]) -> str:
    """Write a small JSON file, whole or not at all, and return its URI."""
    file = output.create(name)
    try:
        file.write(json.dumps(value, indent=1).encode())
        return file.commit()
    except BaseException:
        file.discard()
        raise
