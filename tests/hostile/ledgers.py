"""Ledgers that somebody has edited, cut or restored: a first try of a real operator against a local org,
another entry where one of its own was, and then the retry or the clear that reads it."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from airflow.sdk import Asset, BaseOperator

from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental
from tests.provider.conftest import DyingTry, FakeTask, Killed

RECORDS: Final = 4
_NUMBERS: Final = count()


@dataclass
class Scene:
    """A task whose first try has ended somehow.

    :ivar cleared: a person asks for the next try
    :ivar names: records that are to be in the org once, or that are to be read
    """

    org: LocalOrg
    folder: Path
    make: Callable[[], BaseOperator]
    names: list[str]
    task: FakeTask = field(default_factory=FakeTask)
    cleared: bool = False

    def retry(self) -> SfBulkError | None:
        """Run the next try, whatever the ledger says now; give the error that comes out.

        :raises AssertionError: a record is in the org twice, or a success lacks some
        """
        found: SfBulkError | None = None
        summary: Any = None
        try:
            summary = self.task.start(cleared=self.cleared).run(self.make())
        except SfBulkError as error:
            found = error
        loaded = [row["Name"] for row in self.org.records("Account") if row["Name"] in self.names]
        assert len(loaded) == len(set(loaded)), "records are in the org twice"
        if found is None:
            read = loaded if "files" not in summary else sorted(_read(summary["files"]))
            assert sorted(read) == sorted(self.names), "a success without the records"
        return found

    def edit(self, key: str, path: tuple[Any, ...], value: Any) -> None:
        """Put a value into an entry, or in its place."""
        if not path:
            self.task.states[key] = value
            return
        at = self.task.states[key]
        for each in path[:-1]:
            at = at[each]
        if value is GONE:
            del at[path[-1]]
        else:
            at[path[-1]] = value

    def places(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Give every entry, and everything in one."""
        for key, value in sorted(self.task.states.items()):
            yield key, ()
            yield from ((key, path) for path in _paths(value))


GONE: Final = object()
"""In place of a value that is cut out."""


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    within = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in within:
        yield (*at, name)
        yield from _paths(each, (*at, name))


def _read(files: list[str]) -> list[str]:
    found: list[str] = []
    for file in files:
        with Path(file).open(newline="", encoding="utf-8") as lines:
            found += [row["Name"] for row in csv.DictReader(lines)]
    return found


def _load(org: LocalOrg, folder: Path, *, dies: int, bad: bool = False, **arguments: Any) -> Scene:
    number = next(_NUMBERS)
    names = [f"Ledger {number} {at}" for at in range(RECORDS)]
    rows = [{"Name": name} for name in names] + ([{"Name": ""}] if bad else [])
    folder = folder / str(number)
    folder.mkdir()
    source = folder / "in.csv"
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["Name"], lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    given = {"part_records": 2, "max_failed_records": 0, "deferrable": False, **arguments}

    def make() -> BaseOperator:
        return BulkIngestOperator(task_id="task", sobject="Account", operation="insert", source=str(source), **given)

    scene = Scene(org, folder, make, names)
    with suppress(Killed, SfBulkError):
        DyingTry(scene.task, dies, after=True).run(make())
    return scene


def uploaded(org: LocalOrg, folder: Path) -> Scene:
    """A load whose first try died when it had filled its jobs, and decided nothing."""
    return _load(org, folder, dies=4)


def decided(org: LocalOrg, folder: Path) -> Scene:
    """A load whose first try died when it had decided, and closed nothing."""
    return _load(org, folder, dies=5)


def done(org: LocalOrg, folder: Path) -> Scene:
    """A load that is done; that Airflow has taken its success is not recorded."""
    return _load(org, folder, dies=10**6)


def judged(org: LocalOrg, folder: Path) -> Scene:
    """A load that has ended with failed records, and is cleared: they are sent again, in vain."""
    scene = _load(org, folder, dies=10**6, bad=True)
    scene.task.states["sfbulk.try1.taken"] = {"state": "failed"}
    return scene


def classic(org: LocalOrg, folder: Path) -> Scene:
    """A load by Bulk API 1.0 whose first try died between its batches."""
    return _load(org, folder, dies=6, api="1.0")


def long(org: LocalOrg, folder: Path) -> Scene:
    """A decided load whose decision is kept in pieces."""
    scene = decided(org, folder)
    text = json.dumps(scene.task.states["sfbulk.try1.end.0"])
    half = len(text) // 2
    scene.task.states |= {
        "sfbulk.try1.end.0": {"pieces": 2},
        "sfbulk.try1.end.0~0": {"piece": text[:half]},
        "sfbulk.try1.end.0~1": {"piece": text[half:]},
    }
    return scene


def old(org: LocalOrg, folder: Path) -> Scene:
    """A load that version 0.1.0 of this package has decided."""
    scene = decided(org, folder)
    states = scene.task.states
    end = copy.deepcopy(states["sfbulk.try1.end.0"])
    plan, jobs = end.pop("plan"), end.pop("jobs")
    end.pop("files")
    names = ("job_id", "records", "length", "sha256")
    entries = {f"0.{at}": dict(zip(names, job, strict=True)) for at, job in enumerate(jobs)}
    plan["source"] = [{"name": str(scene.folder / "in.csv"), "bytes": 5, "tag": "1.5"}]
    scene.task.states = {
        "sfbulk.t1": {"load": 1, "plan": plan, "max_tries": 1, "end.0": end},
        "sfbulk.t1.0.0": entries,
    }
    return scene


def _query(org: LocalOrg, folder: Path, *, dies: int, **arguments: Any) -> Scene:
    number = next(_NUMBERS)
    source = _load(org, folder, dies=10**6)
    where = f"Name LIKE 'Ledger {number + 1} %'"
    out = str(folder / f"out{number}")
    given: dict[str, Any] = {"output_path": out, "deferrable": False, "page_records": 2, **arguments}
    if "incremental" in given:
        org.advance(600)
        where += " AND SystemModstamp >= :since AND SystemModstamp < :until"

    def make() -> BaseOperator:
        return BulkQueryOperator(
            task_id="task", soql=f"SELECT Id, Name FROM Account WHERE {where}", max_concurrent_pages=1, **given
        )

    scene = Scene(org, folder, make, source.names)
    with suppress(Killed):
        DyingTry(scene.task, dies, after=True).run(make())
    return scene


def read(org: LocalOrg, folder: Path) -> Scene:
    """A query whose first try died behind its first page."""
    return _query(org, folder, dies=5)


def windowed(org: LocalOrg, folder: Path) -> Scene:
    """A query of a window whose first try died when it had recorded its job."""
    return _query(org, folder, dies=4, incremental=Incremental(asset=Asset("accounts")))


def classic_read(org: LocalOrg, folder: Path) -> Scene:
    """A query by Bulk API 1.0 whose first try died when it had recorded its batch."""
    return _query(org, folder, dies=4, api="1.0")


SCENES: Final[Mapping[str, Callable[[LocalOrg, Path], Scene]]] = {
    made.__name__: made for made in (uploaded, decided, done, judged, classic, long, old, read, windowed, classic_read)
}
