"""What became of the records of one batch of Bulk API 1.0, in the job's format: CSV, XML or JSON.

One entry for each record, in the order of the request (Bulk API guide, "View Batch Results"). A batch has at most
``limits.BATCH_RECORDS`` records, so its results are read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from airflow_provider_sfbulk.client.bulk1.models import ContentType, RecordResult
from airflow_provider_sfbulk.client.csv.decode import read_rows
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.replies import safe_json
from airflow_provider_sfbulk.client.replies.safe_xml import MalformedXmlError, element_text, local_name, parse, texts_of

COLUMNS: Final = frozenset({"Id", "Success", "Created", "Error"})


def read_batch_results(body: bytes, content_type: ContentType, *, records: int | None) -> list[RecordResult]:
    """Read the results of a batch.

    :param content_type: the job's
    :param records: how many there must be; None when that is unknown
    :raises TransportError: the results are not complete
    :raises ProtocolError: they have another form
    """
    found = list(_READERS[content_type.rows](body))
    if records is not None and len(found) != records:
        raise TransportError(f"{len(found)} results came instead of {records}")
    return found


def _of_csv(body: bytes) -> Iterator[RecordResult]:
    for row in read_rows((body,), Dialect()):
        if not row.keys() >= COLUMNS:
            raise ProtocolError(f"results without the columns {', '.join(sorted(COLUMNS - row.keys()))}")
        success = _flag(row["Success"])
        errors = () if success or not row["Error"] else (BulkError.parse(row["Error"]),)
        yield RecordResult(row["Id"] or None, success, _flag(row["Created"]), errors)


def _of_xml(body: bytes) -> Iterator[RecordResult]:
    try:
        root = parse(body)
    except MalformedXmlError as error:
        raise TransportError(f"results that are no whole XML: {error}") from error
    if local_name(root) != "results":
        raise ProtocolError("XML that is not a list of results")
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
        raise ProtocolError("JSON that is not a list of results")
    for each in data:
        errors = tuple(_json_error(error) for error in _list_of(each, "errors"))
        yield RecordResult(each.get("id") or None, _flag(each.get("success")), _flag(each.get("created")), errors)


def _json_error(error: Any) -> BulkError:
    if not isinstance(error, Mapping):
        raise ProtocolError("a result whose error is not JSON object")
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
    raise ProtocolError("a result with neither true nor false")


_READERS: Final[Mapping[ContentType, Callable[[bytes], Iterator[RecordResult]]]] = {
    ContentType.CSV: _of_csv,
    ContentType.XML: _of_xml,
    ContentType.JSON: _of_json,
}
