"""Rows as fixed-size fingerprints: equal when the rows are the same to Salesforce.

Theory: the normal forms of a row (see ``normal_forms``) are joined to one text, and its digest of 128 bits stands for
the row. Zeros stand for no digest. In a hundred million rows two different ones have the same digest with a probability of
10^-23.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.load.digests import DigestFile, Digests, digests
from airflow_provider_sfbulk.client.load.normal_forms import holds, normal_form
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

_BATCH_ROWS: Final = 32_768
"""Rows that are worked on at once: enough for Arrow to be quick, little enough to stay in a few megabytes."""

_BETWEEN: Final = "\x1f"
_ESCAPE: Final = "\x1e"


@dataclass(frozen=True)
class RowForm:
    """How the rows of a part and of its job's result files are compared.

    :param columns: uploaded columns, in order
    :param types: what describe calls each one's type; None where that is not known
    :param key: places in ``columns`` of those that identify a row; none at all when nothing does
    """

    columns: tuple[str, ...]
    types: tuple[str | None, ...]
    key: tuple[int, ...]

    @classmethod
    def of(cls, columns: Sequence[str], fields: Mapping[str, str], key_columns: Sequence[str]) -> RowForm:
        """Look the columns up.

        :param fields: describe's type of each field, by its name in lower case; a column that is not there, such as
            ``Owner.External_Key__c``, is compared as text
        :param key_columns: names of columns, in any case
        :raises SourceError: when a key column is none of the columns
        """
        places: dict[str, int] = {}
        for place, name in enumerate(columns):
            places.setdefault(name.lower(), place)
        missing = [name for name in key_columns if name.lower() not in places]
        if missing:
            raise SourceError(
                f"key_columns: there is no column {', '.join(missing)}; the columns that are sent are {', '.join(columns)}"
            )
        return cls(
            tuple(columns),
            tuple(fields.get(name.lower()) for name in columns),
            tuple(dict.fromkeys(places[name.lower()] for name in key_columns)),
        )


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Fingerprints of rows, in their order.

    :param values: of all values of each row
    :param keys: of each row's key; none for a row of whose key something is blank; None when the form has no key
    """

    values: DigestFile
    keys: DigestFile | None

    def __len__(self) -> int:
        return self.values.rows

    def close(self) -> None:
        """Release the files."""
        for file in (self.values, self.keys):
            if file is not None:
                file.close()


def fingerprint(batches: Iterable[pa.RecordBatch], form: RowForm) -> Fingerprints:
    """Take the fingerprints of rows: of a batch 24 bytes a row, or 48 with a key, go into temporary files.

    :param batches: columns of text, as ``arrow.read_text`` gives them. Columns are found by name in any case and order;
        others are ignored, one that is not there counts as blank in every row
    """
    values, keys = DigestFile(), DigestFile() if form.key else None
    for columns in _normal_forms(batches, form, range(len(form.columns))):
        values.add(row_digests(columns))
        if keys is not None:
            keys.add(key_digests([columns[place] for place in form.key]))
    return Fingerprints(values, keys)


def fingerprint_keys(batches: Iterable[pa.RecordBatch], form: RowForm) -> DigestFile:
    """Take the fingerprints of rows' keys alone, as those of :func:`fingerprint`."""
    keys = DigestFile()
    for columns in _normal_forms(batches, form, form.key):
        keys.add(key_digests(columns))
    return keys


def identities(batches: Iterable[pa.RecordBatch], form: RowForm) -> Iterator[Array]:
    """Yield a text for each row, for some rows at a time: two rows have the same text exactly when their keys are the same.

    Without a key all values take its place. A key of which something is blank identifies nothing: there it ends.
    """
    for columns in _normal_forms(batches, form, form.key or range(len(form.columns))):
        if form.key and any(compute.any(compute.equal(column, "")).as_py() for column in columns):
            return
        if len(columns[0]):
            yield _joined(columns)


def _normal_forms(batches: Iterable[pa.RecordBatch], form: RowForm, wanted: Sequence[int]) -> Iterator[list[Array]]:
    """Yield the normal forms of some columns, for some rows at a time."""
    for batch in batches:
        places = _places(batch.schema.names, form.columns)
        chosen = [(places[each], form.types[each]) for each in wanted]
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            piece = batch.slice(start, _BATCH_ROWS)
            yield [
                _blank(piece.num_rows) if place is None else normal_form(piece.column(place), kind)
                for place, kind in chosen
            ]


def _places(names: Sequence[str], columns: Sequence[str]) -> list[int | None]:
    """Find each of the columns among the names, from the last to the first.

    From the last, since Salesforce puts its own columns in front: when ``sf__Id`` was uploaded too, it is the second.
    """
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name.lower(), []).append(place)
    places: list[int | None] = []
    for name in reversed(columns):
        held = found.get(name.lower())
        places.append(held.pop() if held else None)
    return places[::-1]


def _blank(rows: int) -> Array:
    return pa.repeat("", rows)


def key_digests(columns: Sequence[Array]) -> Digests:
    """Return a digest of each row's key.

    :param columns: the normal forms of its values
    :return: zeros for a row of whose key something is blank
    """
    found = row_digests(columns)
    for column in columns:
        found[compute.equal(column, "").to_numpy(zero_copy_only=False)] = 0
    return found


def row_digests(columns: Sequence[Array]) -> Digests:
    """Return a digest of each row.

    :param columns: the normal forms of its values
    """
    return digests(_joined(columns))


def _joined(columns: Sequence[Array]) -> Array:
    """Join the values of each row to a text that no others give."""
    if len(columns) == 1:
        return columns[0]
    return compute.binary_join_element_wise(*(_escaped(column) for column in columns), _BETWEEN)


def _escaped(texts: Array) -> Array:
    """Free the texts of the character that is put between them: ``a|`` and ``b`` are not ``a`` and ``|b``."""
    for character, escaped in ((_ESCAPE, _ESCAPE + "0"), (_BETWEEN, _ESCAPE + "1")):
        if holds(texts, ord(character)):
            texts = compute.replace_substring(texts, character, escaped)
    return texts
