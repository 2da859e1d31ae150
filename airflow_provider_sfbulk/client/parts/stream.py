"""Records on their way to Salesforce: the rules for their columns (mapping, nulls, zone), blocks and streams of encoded
records."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding, Operation

Nulls: TypeAlias = Literal["leave", "clear"]

BlankIds: TypeAlias = Literal["refuse", "send"]

Unfit: TypeAlias = Callable[["Sequence[int] | None", str, str], None]
"""Called with what cannot be sent: the rows' numbers in their stream, from 1, or None for all rows; the column; the
reason, without a value."""

FieldTypes: TypeAlias = Sequence["str | None"]
"""Each column's type in describe; None where unknown."""

NULL_TEXT: Final = "#N/A"
"""The text that sets a field to null; an empty value leaves it unchanged (guide, "Valid Record Rows")."""

NEEDS_ID: Final = frozenset({Operation.UPDATE, Operation.DELETE, Operation.HARD_DELETE})
"""Operations whose records are found by their ``Id``."""

COMPARABLE: Final = frozenset({Operation.UPDATE, Operation.UPSERT})
"""Operations whose records may be in the org already, as they are."""

DELETES: Final = frozenset({Operation.DELETE, Operation.HARD_DELETE})
"""Operations whose records are an ``Id`` and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How rows become Salesforce's columns. Names and choices are checked on creation.

    :param operation: what the job will do
    :param external_id_field: the field that an upsert matches by
    :param column_mapping: ``{"source column": "Field__c"}``, None instead of a field to drop the column; columns not
        named keep their name. A nested column may be named as a whole (``Owner``) or by its leaf
        (``Owner.External_Key__c``)
    :param nulls: what an explicit null does: ``leave`` writes an empty value, which leaves the field unchanged; ``clear``
        writes ``#N/A``, which empties it. For all columns, or by target column (others leave). In a CSV an empty value is
        the null. A missing key always leaves the field unchanged, and ``Id`` and the external id are never ``#N/A``
    :param timezone: zone of datetimes without one, or its IANA name; None refuses them
    :param columns: the columns of rows that are mappings, and their order, if the first rows do not have all of them; a
        row may lack some but has no others. Names as in the rows, ``Owner.External_Key__c`` for a nested one
    :param blank_external_ids: rows of an upsert whose external id is blank: ``refuse`` the whole input, or ``send``
        them: an upsert by ``Id`` inserts them, by any other field Salesforce fails them
    :param column_delimiter: delimiter of a CSV source; None = detected in the file
    :param line_ending: line ending of the job; None = detected in the data. Record endings of a CSV are converted to it,
        line breaks inside values never are
    :param unfit: for an input that is only checked: called with columns and values that cannot be sent, which become
        blank; a row without its key passes. None: they are refused
    :raises SourceError: for a choice that does not exist
    """

    operation: Operation
    external_id_field: str | None = None
    column_mapping: Mapping[str, str | None] | None = None
    nulls: Nulls | Mapping[str, Nulls] = "leave"
    timezone: str | tzinfo | None = None
    columns: Sequence[str] | None = None
    blank_external_ids: BlankIds = "refuse"
    column_delimiter: ColumnDelimiter | None = None
    line_ending: LineEnding | None = None
    unfit: Unfit | None = None

    def __post_init__(self) -> None:
        _set(self, "operation", _choice(Operation, self.operation, "operation"))
        if self.column_delimiter is not None:
            _set(self, "column_delimiter", _choice(ColumnDelimiter, self.column_delimiter, "column_delimiter"))
        if self.line_ending is not None:
            _set(self, "line_ending", _choice(LineEnding, self.line_ending, "line_ending"))
        chosen = set(self.nulls.values()) if isinstance(self.nulls, Mapping) else {self.nulls}
        if not chosen <= {"leave", "clear"}:
            raise SourceError('nulls must be "leave" or "clear", or a dict by column such as {"Field__c": "clear"}')
        if self.blank_external_ids not in ("refuse", "send"):
            raise SourceError('blank_external_ids must be "refuse" or "send"')
        _ = self.zone

    @property
    def needed_key(self) -> str | None:
        """The column that identifies the record of a row; None when a row may lack it."""
        if self.operation in NEEDS_ID:
            return "Id"
        return self.external_id_field if self.blank_external_ids == "refuse" else None

    @cached_property
    def zone(self) -> ZoneInfo | None:
        """The zone of :attr:`timezone`."""
        if self.timezone is None:
            return None
        try:
            return ZoneInfo(str(self.timezone))  # the text of a zone is its name
        except (KeyError, ValueError, OSError) as error:
            raise SourceError(
                f"timezone: there is no zone {str(self.timezone)!r}: give an IANA name, such as UTC"
            ) from error

    @property
    def blank_advice(self) -> str:
        """How rows without :attr:`needed_key` can be loaded, for a message."""
        if self.operation is not Operation.UPSERT:
            return ""
        by_id = (self.external_id_field or "").casefold() == "id"
        then = "to insert such rows" if by_id else "to let only such rows fail"
        return f', or set blank_external_ids="send" {then}'

    def refuse_columns(self, name: str) -> None:
        """Refuse ``columns`` for a source that names its own.

        :raises SourceError: when it is given
        """
        if self.columns is not None:
            raise SourceError(
                f"{name}: columns is for rows that are dicts, including JSON Lines and the rows of a callable. This source "
                "names its own columns: drop or rename them with column_mapping"
            )

    def cleared(self, columns: Sequence[str]) -> tuple[bool, ...]:
        """Return for each target column whether an explicit null clears the field.

        :raises SourceError: when ``nulls`` names a column that is not there
        """
        keys = {"id", (self.external_id_field or "id").casefold()}
        if isinstance(self.nulls, Mapping):
            by_column = {name.casefold(): choice for name, choice in self.nulls.items()}
            unknown = set(by_column) - {name.casefold() for name in columns}
            if unknown:
                names = ", ".join(sorted(name for name in self.nulls if name.casefold() in unknown))
                raise SourceError(f"nulls names columns that the records do not have: {names}")
            clear = {name for name, choice in by_column.items() if choice == "clear"} - keys
            return tuple(name.casefold() in clear for name in columns)
        return tuple(self.nulls == "clear" and name.casefold() not in keys for name in columns)


def _set(rules: Rules, name: str, value: object) -> None:
    object.__setattr__(rules, name, value)


def _choice(kind: type[Operation | ColumnDelimiter | LineEnding], value: object, what: str) -> object:
    if not isinstance(value, str) or value not in list(kind):
        raise SourceError(f"{what} must be one of {', '.join(kind)}")
    return kind(value)


@dataclass(frozen=True)
class Block:
    """Whole encoded records, line endings included, without a header.

    :param records: how many records ``data`` holds
    """

    data: bytes
    records: int


class RecordStream:
    """Records with Salesforce's columns, encoded as CSV in UTF-8, a block at a time.

    :param columns: target column names, in order; empty when the source has no row
    :param dialect: how the CSV is written; the job must be created with it
    :param blocks: returns the encoded records, for fields of the given types
    :param types: each column's type in describe; None: values are written by their own types
    :param name: the source's name, for messages
    :param is_csv: whether the columns are the first line of a CSV, which may be no header
    :param raw: reads all records without a look at them, where they are sent as their source has them; None elsewhere
    :raises SourceError: when the header line is longer than Salesforce takes
    """

    def __init__(
        self,
        columns: Sequence[str],
        dialect: Dialect,
        blocks: Callable[[FieldTypes], Iterator[Block]],
        *,
        name: str,
        types: FieldTypes | None = None,
        is_csv: bool = False,
        raw: Callable[[], Generator[bytes]] | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.types = tuple(types or (None,) * len(self.columns))
        self.dialect = dialect
        self.name = name
        self.is_csv = is_csv
        self.raw = raw
        self.header = header_line(self.columns, dialect)
        self._blocks = blocks
        self._taken = False

    def blocks(self) -> Iterator[Block]:
        """Return all records, once.

        :raises SourceError: a record cannot be sent; the message has its number in the input, from 1
        :raises RuntimeError: when called again
        """
        if self._taken:
            raise RuntimeError(f"the records of {self.name} have already been read: make a new stream")
        self._taken = True
        return self._blocks(self.types)

    def with_columns(self, names: Sequence[str], types: FieldTypes | None = None) -> RecordStream:
        """Return the same records with renamed columns, encoded for the types of their fields.

        Result files have a column only if its case is that of the field, hence the spelling of describe.
        """
        if len(names) != len(self.columns):
            raise SourceError(f"{self.name}: {len(self.columns)} columns cannot take {len(names)} names")
        if self._taken:
            raise RuntimeError(f"the records of {self.name} have already been read: make a new stream")
        self._taken = True
        return RecordStream(
            names,
            self.dialect,
            self._blocks,
            name=self.name,
            types=types or self.types,
            is_csv=self.is_csv,
            raw=self.raw,
        )


def header_line(columns: Sequence[str], dialect: Dialect) -> bytes:
    """Encode the header line, including its line ending; empty without columns.

    :raises SourceError: when it is longer than ``limits.HEADER_CHARACTERS``
    """
    if not columns:
        return b""
    line = dialect.delimiter.join(_quoted(name, dialect) for name in columns)
    if len(line) > limits.HEADER_CHARACTERS:
        raise SourceError(
            f"the header line has {len(line):,} characters, but Salesforce accepts only {limits.HEADER_CHARACTERS:,}"
        )
    return (line + dialect.newline).encode()


def _quoted(name: str, dialect: Dialect) -> str:
    if any(character in name for character in (dialect.delimiter, '"', "\r", "\n")):
        return '"' + name.replace('"', '""') + '"'
    return name
