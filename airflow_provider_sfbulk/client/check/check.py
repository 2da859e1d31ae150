"""Checks an input without sending it: every row as a load would send it, against describe.

It checks the parts that a load would upload. So the conversion of values by the source is part of the check, and parts and
bytes are those of the load.

What describe does not contain cannot be checked: validation rules, triggers and flows, values that are in the org already,
whether a referenced record exists, the fields of other objects, dependent picklists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from airflow_provider_sfbulk.client.check.cells import Cells, Field, Problem, cells_of
from airflow_provider_sfbulk.client.check.repeated import Keys, Numbers
from airflow_provider_sfbulk.client.check.report import SOURCE_ERROR, CheckReport
from airflow_provider_sfbulk.client.errors import EmptyInputError, MissingSourceError, SourceError
from airflow_provider_sfbulk.client.load.fingerprints import key_digests
from airflow_provider_sfbulk.client.load.normal_forms import normal_form
from airflow_provider_sfbulk.client.load.rounds import PartLimits
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.parts.split import split
from airflow_provider_sfbulk.client.parts.stream import DELETES, NULL_TEXT, Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.results.typed import read_text
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute


class Listing(Protocol):
    """Lists each problem of each row with its value, for the user only."""

    def add(self, problem: Problem, numbers: Numbers, values: Array) -> None:
        """Take rows that have a problem.

        :param values: what the rows have in the problem's column
        """


@dataclass(frozen=True)
class _Column:
    """A column of the input.

    :param field: that it writes; of ``Owner.Email`` the lookup; None when there is none
    :param cells: what its cells may be; None: anything
    :param unique: None: a value may come more than once
    """

    name: str
    place: int
    field: Field | None
    cells: Cells | None
    unique: _Unique | None

    @property
    def writes(self) -> str:
        """The field's name in lower case."""
        return "" if self.field is None else str(self.field["name"]).casefold()


@dataclass(frozen=True)
class _Unique:
    """A field in which no value may be twice.

    :param folds: whether case does not count
    :param is_first_wrong: whether the first of the rows is one of those that may fail
    """

    field: Field
    problem: Problem
    folds: bool
    is_first_wrong: bool
    keys: Keys

    def add(self, texts: Array, rows: Numbers) -> None:
        """Take the values of rows."""
        forms = normal_form(texts, str(self.field.get("type")))
        self.keys.add(key_digests([compute.utf8_lower(forms) if self.folds else forms]), rows)


_CASELESS: Final = frozenset(
    {"string", "textarea", "picklist", "combobox", "email", "phone", "url", "encryptedstring", "multipicklist"}
)
"""Types of text, whose case counts only where describe says so."""


class InputCheck:
    """The check of one input.

    :param describe: of the object
    :param rules: of the load
    :param cut: of the load
    :param listing: None: the rows are counted only
    """

    def __init__(
        self, describe: Mapping[str, Any], rules: Rules, cut: PartLimits, *, listing: Listing | None = None
    ) -> None:
        self.rules = replace(rules, unfit=self._unfit)
        """Rules for making the streams: they report what a load would refuse."""
        self.report = CheckReport(str(describe.get("name")), str(rules.operation))
        self._describe = describe
        self._operation = rules.operation
        self._key = (rules.needed_key or rules.external_id_field or "").casefold()
        self._needs_key = rules.needed_key is not None
        self._blank_advice = rules.blank_advice
        self._cut = cut
        self._listing = listing
        self._fields = {str(field["name"]).casefold(): field for field in describe.get("fields") or ()}
        self._required = self._required_fields()
        self._offset = 0
        self._lock = Lock()
        self._uniques: dict[str, _Unique] = {}

    def read(self, streams: Iterable[RecordStream]) -> CheckReport:
        """Read the input to its end, or to where it cannot be read.

        :param streams: made by :attr:`rules` and fitted to the object; what is wrong when they are made is reported, too
        :raises MissingSourceError: when the input is not there
        :raises EmptyInputError: when there is no record in it
        """
        try:
            self._read_all(streams)
        except (MissingSourceError, EmptyInputError):
            raise
        except SourceError as error:
            self.report.refused.append(str(error))
            self.report.is_complete = False
            self._find_repeated()
        finally:
            for unique in self._uniques.values():
                unique.keys.close()
        if not self.report.records and not self.report.refused:
            raise EmptyInputError("the input has no records: there is nothing to load")
        return self.report

    def _read_all(self, streams: Iterable[RecordStream]) -> None:
        for stream in streams:
            self._offset = self.report.records
            columns = [self._column(place, name) for place, name in enumerate(stream.columns)]
            broken: list[SourceError] = []
            whole = _up_to_its_break(stream, broken)
            for part in split(whole, max_bytes=self._cut.part_bytes, max_records=self._cut.part_records):
                with closing(part):
                    self.report.parts += 1
                    self.report.bytes += part.length
                    for batch in read_text(part.body.chunks(), part.dialect):
                        self._look_at(columns, batch)
                        self.report.records += batch.num_rows
            if broken:
                raise broken[0]
        self._find_repeated()

    def _find_repeated(self) -> None:
        for unique in self._uniques.values():
            for sharing in unique.keys.sharing():
                self._add(unique.problem, sharing.rows if unique.is_first_wrong else sharing.rows[sharing.is_later])

    def _unfit(self, rows: Sequence[int] | None, column: str, reason: str) -> None:
        """Record what a load would refuse, from any thread."""
        if rows is None:
            self.report.refused.append(reason)
        else:
            self._add(Problem(SOURCE_ERROR, column, reason), np.array(rows, np.int64) + self._offset)

    def _add(self, problem: Problem, rows: Numbers, values: Array | None = None) -> None:
        if not len(rows):
            return
        with self._lock:
            self.report.add(problem, rows)
            if self._listing is not None:
                self._listing.add(problem, rows, pa.nulls(len(rows), pa.string()) if values is None else values)

    # What there is to be looked at

    def _required_fields(self) -> frozenset[str]:
        """Return the fields, in lower case, without a value of which no record is inserted. Whether a row of an upsert
        inserts one is not known."""
        if self._operation is not Operation.INSERT:
            return frozenset()
        required = {
            name
            for name, field in self._fields.items()
            if field.get("createable") and not field.get("nillable") and not field.get("defaultedOnCreate")
        }
        # Where people are accounts, these have a last name instead of a name.
        return frozenset(required - ({"name"} if "ispersonaccount" in self._fields else set()))

    def _column(self, place: int, name: str) -> _Column:
        if "." in name:
            path = name.partition(".")[0].rpartition(":")[2].casefold()
            lookups = (each for each in self._fields.values() if str(each.get("relationshipName")).casefold() == path)
            return _Column(name, place, next(lookups, None), None, None)
        field = self._fields.get(name.casefold())
        if field is None:
            return _Column(name, place, None, None, None)
        return _Column(name, place, field, cells_of(field, self._describe), self._unique(name, field))

    def _unique(self, name: str, field: Field) -> _Unique | None:
        """Return how a field's values are looked through for those that come twice; all files of an input together."""
        if (folded := name.casefold()) in self._uniques:
            return self._uniques[folded]
        if self._operation in DELETES:
            found = ("ENTITY_IS_DELETED", "another row deletes the same record")
        elif folded == self._key and folded != "id":
            said = "another row has the same value: Salesforce refuses both, or saves one over the other"
            found = ("DUPLICATE_VALUE", said)
        elif folded == "id":
            found = ("DUPLICATE_VALUE", "another row changes the same record: which of them is last is not certain")
        elif field.get("unique"):
            found = ("DUPLICATE_VALUE", "an earlier row has the same value, and the field is unique")
        else:
            return None
        self._uniques[folded] = _Unique(
            field,
            Problem(found[0], name, found[1]),
            folds=str(field.get("type")) in _CASELESS and not field.get("caseSensitive"),
            is_first_wrong=folded == self._key and folded != "id",
            keys=Keys(),
        )
        return self._uniques[folded]

    # Looking

    def _look_at(self, columns: Sequence[_Column], batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        rows = np.arange(batch.num_rows, dtype=np.int64) + self.report.records + 1
        given: dict[str, Array] = {}
        for column in columns:
            texts = batch.column(column.place)
            is_blank, is_null = compute.equal(texts, ""), compute.equal(texts, NULL_TEXT)
            for problem, wrong in self._wrong(column, texts, is_blank, is_null):
                self._note(problem, rows, wrong, texts)
            if column.unique is not None:
                column.unique.add(texts, rows)
            if not column.writes:
                continue
            there = compute.invert(is_blank)
            if column.writes in self._required:
                empty = compute.equal(compute.utf8_trim_whitespace(texts), "")
                there = compute.and_not(compute.and_not(there, is_null), empty)
            if column.writes in given:
                said = "the lookup is given by id and by external id"
                both = compute.and_(given[column.writes], there)
                self._note(Problem("INVALID_FIELD", column.name, said), rows, both, texts)
                there = compute.or_(given[column.writes], there)
            given[column.writes] = there
        self._check_required(given, rows)

    def _wrong(self, column: _Column, texts: Array, is_blank: Array, is_null: Array) -> Iterator[tuple[Problem, Array]]:
        name, field = column.name, column.field
        if name.casefold() == self._key:
            yield from self._without_key(column, texts, is_null)
        if self._clears_wrongly(column):
            assert field is not None, "of a column that is not a field nothing is known"
            if field.get("type") == "boolean":
                yield Problem("INVALID_TYPE_ON_FIELD_IN_RECORD", name, "a checkbox cannot be cleared"), is_null
            else:
                yield Problem("REQUIRED_FIELD_MISSING", name, "a required field cannot be cleared"), is_null
        if column.cells is not None:
            looked_at = compute.if_else(compute.or_(is_blank, is_null), None, texts)
            yield from column.cells.find(looked_at).items()

    def _without_key(self, column: _Column, texts: Array, is_null: Array) -> Iterator[tuple[Problem, Array]]:
        blank = compute.or_(is_null, compute.equal(compute.utf8_trim_whitespace(texts), ""))
        if self._needs_key:
            said = f"blank, although it identifies the record{self._blank_advice}"
            yield Problem(SOURCE_ERROR, column.name, said), blank
        elif self._operation is not Operation.UPSERT or self._key != "id":
            yield Problem("MISSING_ARGUMENT", column.name, "blank: Salesforce refuses the row"), blank

    def _clears_wrongly(self, column: _Column) -> bool:
        """Whether the field of a column may not be emptied."""
        field = column.field
        if field is None or self._operation in DELETES or column.writes in ("id", self._key):
            return False
        if field.get("type") == "boolean":
            return True
        return not field.get("nillable") and self._operation is not Operation.INSERT

    def _check_required(self, given: Mapping[str, Array], rows: Numbers) -> None:
        for name in sorted(self._required):
            problem = Problem(
                "REQUIRED_FIELD_MISSING", str(self._fields[name]["name"]), "required, and without a value"
            )
            if name in given:
                self._note(problem, rows, compute.invert(given[name]), None)
            else:
                self._add(problem, rows)

    def _note(self, problem: Problem, rows: Numbers, wrong: Array, texts: Array | None) -> None:
        places = np.flatnonzero(wrong.to_numpy(zero_copy_only=False))
        if places.size:
            self._add(problem, rows[places], None if texts is None else texts.take(pa.array(places)))


def _up_to_its_break(stream: RecordStream, broken: list[SourceError]) -> RecordStream:
    """Return the records up to where they cannot be read, so that what comes before is in a part.

    :param broken: is given why
    """

    def blocks(_: FieldTypes) -> Iterator[Block]:
        try:
            yield from stream.blocks()
        except MissingSourceError:
            raise
        except SourceError as error:
            broken.append(error)

    return RecordStream(stream.columns, stream.dialect, blocks, name=stream.name)
