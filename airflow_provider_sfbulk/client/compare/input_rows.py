"""The rows of a load, kept while they are compared with the org's.

The input is read once: its CSV goes into a temporary file, and its digests into others (``digested.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, Self

from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.compare.digested import FoundRows, KeyFilter, SentRows, choose, keys_of
from airflow_provider_sfbulk.client.compare.same import ComparedColumn
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.parts.stream import COMPARABLE, Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile
from airflow_provider_sfbulk.client.results.schema import ColumnType
from airflow_provider_sfbulk.client.results.typed import BlockReader
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

NAMED_CHARACTERS: Final = 20_000
"""Characters of all keys together up to which the query names them, instead of reading the whole object."""

_NAMED_TYPES: Final = frozenset({"id", "string", "email"})
"""Types of keys that a query may name."""

_SOLID: Final = r"^[^\x00-\x1f\x7f]+$"
_ID: Final = r"^[0-9A-Za-z]{15}([0-9A-Za-z]{3})?$"


@dataclass
class _Kept:
    """A stream whose blocks lie in the file: where each begins, its bytes, its records."""

    stream: RecordStream
    blocks: list[tuple[int, int, int]] = field(default_factory=list)


class InputRows:
    """The rows of a load.

    :param describe: of their object
    :param key: the column by which Salesforce finds a row's record
    """

    def __init__(self, describe: Mapping[str, Any], key: str) -> None:
        self._describe = describe
        self._key_name = key.casefold()
        self._file = TemporaryFile()
        self._length = 0
        self._kept: list[_Kept] = []
        self._sent: dict[tuple[ComparedColumn, ...], SentRows] = {}
        self._keys = KeyFilter()
        self._names: dict[str, None] | None = {}
        self._names_length = 0
        self.rows = 0
        """How many there are."""

    @classmethod
    def of(cls, rules: Rules, describe: Mapping[str, Any]) -> Self:
        """Make it for rows of these rules.

        :raises SourceError: when they are for an operation whose rows are not in the org already
        """
        if rules.operation not in COMPARABLE:
            raise SourceError(f"skip_unchanged is for update and upsert, not for {rules.operation}")
        return cls(describe, "Id" if rules.operation is Operation.UPDATE else rules.external_id_field or "Id")

    def read(self, streams: Iterable[RecordStream]) -> None:
        """Take all rows.

        :raises SourceError: for what is wrong with them, or a column that cannot be compared
        """
        for stream in streams:
            columns = [ComparedColumn.of(name, self._describe) for name in stream.columns]
            order = sorted(range(len(columns)), key=lambda place: columns[place].name)
            of_set = tuple(columns[place] for place in order)
            if of_set not in self._sent:
                self._sent[of_set] = SentRows(of_set)
            kept = _Kept(stream)
            self._kept.append(kept)
            for block in stream.blocks():
                kept.blocks.append((self._length, len(block.data), block.records))
                self._file.write(block.data)
                self._length += len(block.data)
                texts = _texts(block, stream)
                self._take([texts[place] for place in order], self._sent[of_set])
        self._file.flush()

    @cached_property
    def columns(self) -> list[ComparedColumn]:
        """The columns of all rows, the key's first. For when all rows are there."""
        found = {each.name: each for columns in self._sent for each in columns}
        return sorted(found.values(), key=lambda each: each.name.casefold() != self._key_name)

    @property
    def may_be_there(self) -> bool:
        """Whether a row may be in the org as it is: one has a key, and one has no value in doubt."""
        return any(len(each.file) and each.certain for each in self._sent.values())

    @property
    def names(self) -> Sequence[str] | None:
        """The keys, where they are few enough, and such that a query may name them; None where they are not."""
        return None if not self._names else sorted(self._names)

    @cached_property
    def found(self) -> FoundRows:
        """Where the org's rows go."""
        return FoundRows(self.columns, self._keys)

    @cached_property
    def chosen(self) -> ChosenRows:
        """The rows that differ from the org's, or may. For when all of those were found."""
        return choose(self.rows, list(self._sent.values()), self.found)

    def streams(self) -> Iterator[RecordStream]:
        """Yield all rows once more."""
        for kept in self._kept:
            given = kept.stream
            yield RecordStream(
                given.columns,
                given.dialect,
                partial(self._blocks, kept),
                name=given.name,
                types=given.types,
                is_csv=given.is_csv,
            )

    def close(self) -> None:
        """Release the files."""
        self._file.close()
        self.found.file.close()
        for each in self._sent.values():
            each.file.close()

    def _blocks(self, kept: _Kept, _: FieldTypes) -> Iterator[Block]:
        for place, length, records in kept.blocks:
            data = self._file.read_at(place, length)
            while len(data) < length:
                data += self._file.read_at(place + len(data), length - len(data))
            yield Block(data, records)

    def _take(self, texts: Sequence[Array], sent: SentRows) -> None:
        """Take rows with the texts of each of their columns."""
        key, each = next(
            (column, each)
            for column, each in zip(sent.columns, texts, strict=True)
            if column.name.casefold() == self._key_name
        )
        keys = keys_of(each, key)
        self._keys.add(keys)
        self._name(each, key)
        sent.add(keys, texts, self.rows)
        self.rows += len(each)

    def _name(self, texts: Array, column: ComparedColumn) -> None:
        """Keep the keys themselves, while they are few."""
        if self._names is None:
            return
        if column.kind not in _NAMED_TYPES:
            self._names = None
            return
        fit = compute.filter(texts, compute.match_substring_regex(texts, _ID if column.kind == "id" else _SOLID))
        # An id's last three characters say nothing, and may be wrong.
        fit = compute.utf8_slice_codeunits(fit, 0, 15) if column.kind == "id" else fit
        for name in fit.to_pylist():
            if name not in self._names:
                self._names[name] = None
                self._names_length += len(name)
            if self._names_length > NAMED_CHARACTERS:
                self._names = None
                return


def _texts(block: Block, stream: RecordStream) -> list[Array]:
    """Read a block's columns.

    :raises SourceError: it does not read as it was written
    """
    reader = BlockReader([ColumnType(name) for name in stream.columns], stream.dialect, empty_is_null=False)
    batch = reader.read(block.data)
    if batch.num_rows != block.records:
        raise SourceError(f"{stream.name}: {block.records} records read as {batch.num_rows}: are there stray quotes?")
    return [compute.fill_null(column, "") for column in batch.columns]
