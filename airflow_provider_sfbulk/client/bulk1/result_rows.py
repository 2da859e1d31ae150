"""What became of the records of one batch of Bulk API 1.0, in the job's format: CSV, XML or JSON.

One entry for each record, in the order of the request (Bulk API guide, "View Batch Results"). A batch has at most
``limits.BATCH_RECORDS`` records, so its results are read as a whole; those in CSV a column at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.bulk1.models import ContentType, RecordResult
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.replies import safe_json
from airflow_provider_sfbulk.client.replies.safe_xml import MalformedXmlError, element_text, local_name, parse, texts_of
from airflow_provider_sfbulk.client.results.typed import read_text
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

COLUMNS: Final = ("Id", "Success", "Created", "Error")


@dataclass(frozen=True)
class ResultColumns:
    """The results of a batch, one for each record, in their order.

    :param ids: of the records, empty where there is none
    :param errors: as Salesforce writes them, see ``BulkError.parse``
    """

    ids: Array
    success: NDArray[np.bool_]
    created: NDArray[np.bool_]
    errors: Array

    def __len__(self) -> int:
        return len(self.ids)

    def followed_by(self, others: ResultColumns) -> ResultColumns:
        """Return these, and then others."""
        return ResultColumns(
            pa.concat_arrays([self.ids, others.ids]),
            np.concatenate((self.success, others.success)),
            np.concatenate((self.created, others.created)),
            pa.concat_arrays([self.errors, others.errors]),
        )

    def with_error(self, text: str) -> ResultColumns:
        """Return these, with another error for all that were not saved."""
        others = unsaved(len(self), text)
        saved = pa.array(self.success)
        return ResultColumns(
            compute.if_else(saved, self.ids, others.ids),
            self.success,
            self.created & self.success,
            compute.if_else(saved, self.errors, others.errors),
        )

    def rows(self) -> Iterator[RecordResult]:
        """Yield them one by one."""
        columns = self.ids.to_pylist(), self.success.tolist(), self.created.tolist(), self.errors.to_pylist()
        for id_, success, created, error in zip(*columns, strict=True):
            errors = () if success or not error else (BulkError.parse(error),)
            yield RecordResult(id_ or None, success, created, errors)


def unsaved(records: int, error: str) -> ResultColumns:
    """Return the results of records that were not saved, all for the same reason."""
    none = np.zeros(records, np.bool_)
    return ResultColumns(pa.repeat("", records), none, none, pa.repeat(error, records))


def read_batch_results(body: bytes, content_type: ContentType, *, records: int | None) -> list[RecordResult]:
    """Read the results of a batch.

    :param content_type: the job's
    :param records: how many there must be; None when that is unknown
    :raises TransportError: the results are not complete
    :raises ProtocolError: they have another form
    """
    found = list(_READERS[content_type.rows](body))
    _check_count(len(found), records)
    return found


def read_result_columns(body: bytes, *, records: int | None) -> ResultColumns:
    """Read the results of a batch in CSV, with the parameters and errors of :func:`read_batch_results`."""
    found = _columns(body)
    _check_count(len(found), records)
    return found


def _check_count(found: int, records: int | None) -> None:
    if records is not None and found != records:
        raise TransportError(f"{found} results were received instead of {records}")


def _columns(body: bytes) -> ResultColumns:
    table = pa.Table.from_batches(list(read_text((body if body.endswith(b"\n") else body + b"\n",), Dialect())))
    names = table.column_names
    if missing := set(COLUMNS) - set(names):
        raise ProtocolError(f"results without the columns {', '.join(sorted(missing))}")
    ids, success, created, errors = (table.column(names.index(each)).combine_chunks() for each in COLUMNS)
    return ResultColumns(ids, _flags(success), _flags(created), errors)


def _flags(texts: Array) -> NDArray[np.bool_]:
    encoded = texts.dictionary_encode()
    known = np.array([_flag(each) for each in encoded.dictionary.to_pylist()], np.bool_)
    flags: NDArray[np.bool_] = known[encoded.indices.to_numpy()]
    return flags


def _of_csv(body: bytes) -> Iterator[RecordResult]:
    return _columns(body).rows()


def _of_xml(body: bytes) -> Iterator[RecordResult]:
    try:
        root = parse(body)
    except MalformedXmlError as error:
        raise TransportError(f"results that are not complete XML: {error}") from error
    if local_name(root) != "results":
        raise ProtocolError("a reply in XML that is not a list of results")
    for result in root:
        texts = texts_of(result)
        errors = tuple(
            BulkError(
                (parts := texts_of(each)).get("statusCode", ""),
                parts.get("message", ""),
                tuple(text for field in each if local_name(field) == "fields" and (text := element_text(field))),
            )
            for each in result
            if local_name(each) == "errors"
        )
        success = _flag(texts.get("success"))
        yield RecordResult(texts.get("id") or None, success, _flag(texts.get("created")), errors)


def _of_json(body: bytes) -> Iterator[RecordResult]:
    try:
        data = safe_json.parse(body)
    except safe_json.MalformedJsonError as error:
        raise TransportError(f"results that are {error}") from error
    if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
        raise ProtocolError("a reply in JSON that is not a list of results")
    for each in data:
        errors = tuple(_json_error(error) for error in _list_of(each, "errors"))
        yield RecordResult(each.get("id") or None, _flag(each.get("success")), _flag(each.get("created")), errors)


def _json_error(error: Any) -> BulkError:
    if not isinstance(error, Mapping):
        raise ProtocolError("a result whose error is not a JSON object")
    names = _list_of(error, "fields")
    return BulkError(str(error.get("statusCode") or ""), str(error.get("message") or ""), tuple(map(str, names)))


def _list_of(entry: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = entry.get(name) or ()
    if not isinstance(found, (list, tuple)):
        raise ProtocolError(f"a result whose {name} are not a list")
    return found


def _flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if raw in ("true", "false"):
        return raw == "true"
    raise ProtocolError("a result that is neither true nor false")


_READERS: Final[Mapping[ContentType, Callable[[bytes], Iterator[RecordResult]]]] = {
    ContentType.CSV: _of_csv,
    ContentType.XML: _of_xml,
    ContentType.JSON: _of_json,
}
