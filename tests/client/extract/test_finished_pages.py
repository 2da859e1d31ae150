"""The memory of finished pages, driven by hand: what is taken over, and what never is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_sfbulk.client.effects import Flow, ReadEntry, WriteEntry
from airflow_provider_sfbulk.client.errors import LedgerError, TransportError
from airflow_provider_sfbulk.client.extract.finished_pages import PageLedger
from airflow_provider_sfbulk.client.extract.pages import Page
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.results.schema import ColumnKind, ColumnType
from tests.client.protocol.by_hand import job

JOB = JobInfo.from_json(job("JobComplete", numberRecordsProcessed=6))
PAGES = [
    Page(0, None, "AAA", 2, b'"Id","Name"'),
    Page(1, "AAA", "BBB", 2, b'"Id","Name"'),
    Page(2, "BBB", None, 2, b'"Id","Name"'),
]
PAGING = {"api_version": "66.0", "page_records": 2, "in_order": True}


class Folder:
    """Files by the setup that wrote them."""

    def __init__(self) -> None:
        self.files: dict[tuple[int, str], int] = {}
        self.shown: set[int] = set()
        self.restored: list[int] = []
        self.setup = ""

    def finished(self, index: int, /) -> dict[str, Any]:
        self.files[index, self.setup] = 10 + index
        return {"bytes": 10 + index}

    def restore(self, page: Page, kept: Mapping[str, Any], setup: str, /, *, published: bool) -> bool:
        there = self.files.get((page.index, setup)) == kept["bytes"] or (published and page.index in self.shown)
        if there:
            self.restored.append(page.index)
        return there


def run(flow: Flow[Any], store: dict[str, Any]) -> Any:
    answer: Any = None
    while True:
        try:
            effect = flow.send(answer)
        except StopIteration as end:
            return end.value
        match effect:
            case ReadEntry(key):
                answer = store.get(key)
            case WriteEntry(key, value):
                assert store.setdefault(key, dict(value)) == value, "a key is written once"
                answer = value
            case _:
                raise AssertionError(effect)


class Attempt:
    """One try of the same task."""

    def __init__(self, store: dict[str, Any], folder: Folder, *, job: JobInfo = JOB, **setup: Any) -> None:
        self.store, self.folder = store, folder
        self.ledger = PageLedger(job, folder, setup={"format": "csv", **setup})
        run(self.ledger.open(), store)

    def begin(self, *types: ColumnType, **paging: Any) -> list[Page]:
        found: list[Page] = run(self.ledger.begin(types, paging={**PAGING, **paging}), self.store)
        self.folder.setup = self.ledger.setup
        return found

    def note(self, *pages: Page) -> None:
        for page in pages:
            run(self.ledger.note(page), self.store)


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.fixture
def store(folder: Folder) -> dict[str, Any]:
    """What a try left that finished pages 0 and 2."""
    store: dict[str, Any] = {"0.0": {"job_id": JOB.id}}
    first = Attempt(store, folder)
    assert first.ledger.columns == ()
    assert first.begin() == []
    first.note(PAGES[0], PAGES[2])
    return store


def test_finished_pages_come_back_as_they_were(store: dict[str, Any], folder: Folder) -> None:
    again = Attempt(store, folder)
    assert again.ledger.columns == ("Id", "Name")
    assert again.begin() == [PAGES[0], PAGES[2]]
    assert store["0.0"]["job_id"] == JOB.id


@pytest.mark.parametrize(
    ("setup", "types", "paging"),
    [
        ({"format": "jsonl"}, (), {}),
        ({"where": "elsewhere"}, (), {}),
        ({}, (ColumnType("Id"),), {}),
        ({}, (), {"page_records": 3}),
        ({}, (), {"in_order": False}),
        ({}, (), {"api_version": "65.0"}),
    ],
)
def test_pages_of_another_form_do_not(
    setup: dict[str, Any], types: tuple[ColumnType, ...], paging: dict[str, Any], store: dict[str, Any], folder: Folder
) -> None:
    again = Attempt(store, folder, **setup)
    assert again.begin(*types, **paging) == []
    again.note(PAGES[0])
    assert Attempt(store, folder, **setup).begin(*types, **paging) == [PAGES[0]]
    assert Attempt(store, folder).begin() == [PAGES[0], PAGES[2]], "each form has entries of its own"


def test_types_are_told_apart_by_every_part_of_them(folder: Folder) -> None:
    types = [
        ColumnType("N", ColumnKind.DECIMAL, 9, 2),
        ColumnType("N", ColumnKind.DECIMAL, 9, 3),
        ColumnType("N", ColumnKind.DECIMAL, 8, 2),
        ColumnType("N", ColumnKind.DOUBLE),
        ColumnType("M", ColumnKind.DOUBLE),
    ]
    attempt = Attempt({}, folder)
    setups = []
    for each in types:
        attempt.begin(each)
        setups.append(attempt.ledger.setup)
    assert len(set(setups)) == len(types)


def test_a_page_whose_file_is_gone_does_not_come_back(store: dict[str, Any], folder: Folder) -> None:
    folder.files.pop((0, folder.setup))
    assert Attempt(store, folder).begin() == [PAGES[2]]


def test_files_that_have_their_final_names_count_only_when_this_setup_gave_them(
    store: dict[str, Any], folder: Folder
) -> None:
    folder.files.clear()
    folder.shown = {0, 2}
    again = Attempt(store, folder)
    assert again.begin() == []
    run(again.ledger.publish(), store)
    assert Attempt(store, folder).begin() == [PAGES[0], PAGES[2]]
    assert Attempt(store, folder, format="jsonl").begin() == []


def test_another_job_has_pages_of_its_own(store: dict[str, Any], folder: Folder) -> None:
    other = replace(JOB, id="7508d000003QaLqAAK")
    follower = Attempt(store, folder, job=other)
    assert follower.ledger.columns == ()
    assert follower.begin() == []
    follower.note(PAGES[1])
    assert {key for key in store if other.id in key} == {
        f"1.{other.id}.header.0",
        f"1.{other.id}.{follower.ledger.setup}.1",
    }
    assert Attempt(store, folder).begin() == [PAGES[0], PAGES[2]]


def test_pages_that_did_not_fit_together_are_forgotten(store: dict[str, Any], folder: Folder) -> None:
    doubting = Attempt(store, folder)
    doubting.begin()
    run(doubting.ledger.forget(), store)
    again = Attempt(store, folder)
    assert again.ledger.columns == ()
    assert again.begin() == []
    again.note(replace(PAGES[0], header=b'"Id"'))
    assert Attempt(store, folder).ledger.columns == ("Id",)


def test_widened_columns_are_remembered_in_their_order(store: dict[str, Any], folder: Folder) -> None:
    first = Attempt(store, folder)
    for column in ("Price", "Level"):
        run(first.ledger.widen(column), store)
    assert Attempt(store, folder).ledger.widened == ("Price", "Level")
    assert store["0.0"]["job_id"] == JOB.id


def test_many_pages_come_back_behind_a_gap_of_those_that_were_being_read(folder: Folder) -> None:
    store: dict[str, Any] = {}
    many = [Page(n, f"L{n}", None, 1, b'"Id"', in_order=False) for n in range(230)]
    first = Attempt(store, folder)
    first.begin(in_order=False)
    first.note(*many[:50], *many[70:])
    assert Attempt(store, folder).begin(in_order=False) == [*many[:50], *many[70:]]


@pytest.mark.parametrize(
    "harm",
    [{"records": "2"}, {"locator": "../x?"}, {"next": 3}, {"file": None}],
    ids=["records", "locator", "next", "file"],
)
def test_an_entry_that_is_not_ours_is_an_error(harm: dict[str, Any], store: dict[str, Any], folder: Folder) -> None:
    key = f"1.{JOB.id}.{folder.setup}.0"
    store[key] = {**store[key], **harm}
    with pytest.raises(LedgerError, match="page 0"):
        Attempt(store, folder).begin()
    del store[key]["records"]
    with pytest.raises(LedgerError):
        Attempt(store, folder).begin()


def test_the_header_is_kept_once_and_before_the_first_page(folder: Folder) -> None:
    store: dict[str, Any] = {}
    attempt = Attempt(store, folder)
    attempt.begin()
    order = []
    for page in PAGES:
        flow = attempt.ledger.note(page)
        effect = next(flow)
        while isinstance(effect, WriteEntry):
            order.append(effect.key)
            store[effect.key] = effect.value
            try:
                effect = flow.send(effect.value)
            except StopIteration:
                break
    setup = attempt.ledger.setup
    assert order == [f"1.{JOB.id}.{each}" for each in ("header.0", *(f"{setup}.{index}" for index in range(3)))]


def test_a_page_that_could_not_be_noted_is_not_taken_over(store: dict[str, Any], folder: Folder) -> None:
    attempt = Attempt(store, folder)
    attempt.begin()
    flow = attempt.ledger.note(PAGES[1])
    assert isinstance(next(flow), WriteEntry)
    with pytest.raises(TransportError):
        flow.throw(TransportError("the API server is away"))
    assert Attempt(store, folder).begin() == [PAGES[0], PAGES[2]]
