"""The fields of an ingest job, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from uuid import uuid4

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.arguments import meant, shown
from airflow_provider_sfbulk.client.effects import Body
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding, Operation
from airflow_provider_sfbulk.client.protocol.call import check_sobject, json_body

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True)
class IngestSpec:
    """The fields of a new ingest job. The enumerations may be given as Salesforce spells them.

    :param sobject: API name of the object
    :param external_id_field: required for upsert
    :param assignment_rule_id: for Case or Lead
    :raises SourceError: a value that Salesforce does not know, or an external id field for another operation
    """

    sobject: str
    operation: Operation | str
    external_id_field: str | None = None
    assignment_rule_id: str | None = None
    column_delimiter: ColumnDelimiter | str = ColumnDelimiter.COMMA
    line_ending: LineEnding | str = LineEnding.LF

    def __post_init__(self) -> None:
        self.to_json()

    def to_json(self) -> dict[str, str]:
        """Return the body of the create call."""
        operation = member(Operation, self.operation, "operation")
        if (operation is Operation.UPSERT) is not bool(self.external_id_field):
            raise SourceError("external_id_field is required for upsert, and only for upsert")
        fields = {
            "object": check_sobject(self.sobject),
            "operation": operation,
            "externalIdFieldName": self.external_id_field,
            "assignmentRuleId": self.assignment_rule_id,
            "contentType": "CSV",
            "lineEnding": member(LineEnding, self.line_ending, "line_ending"),
            "columnDelimiter": member(ColumnDelimiter, self.column_delimiter, "column_delimiter"),
        }
        return {name: value for name, value in fields.items() if value}

    def multipart(self, data: bytes) -> Body:
        """Make the body of a create with data: a ``job`` and a ``content`` part (guide, "Create a multipart job").

        :raises SourceError: ``data`` is larger than such a body may be
        """
        if len(data.decode("utf-8", "replace")) > limits.MULTIPART_CHARACTERS:
            raise SourceError(f"data has more than {limits.MULTIPART_CHARACTERS} characters: create, upload and close")
        job = json_body(self.to_json())
        boundary = f"sfbulk-{uuid4().hex}"

        def chunks() -> Iterator[bytes]:
            yield f"--{boundary}\r\nContent-Type: {job.content_type}\r\n".encode()
            yield b'Content-Disposition: form-data; name="job"\r\n\r\n'
            yield from job.chunks()
            yield f"\r\n--{boundary}\r\nContent-Type: text/csv\r\n".encode()
            yield b'Content-Disposition: form-data; name="content"; filename="content"\r\n\r\n'
            yield data
            yield f"\r\n--{boundary}--\r\n".encode()

        return Body(chunks, sum(map(len, chunks())), f"multipart/form-data; boundary={boundary}")


def member(kind: type[E], value: str, name: str) -> E:
    """Return the member of ``kind`` that ``value`` is or names.

    :param name: of the argument, for the message
    :raises SourceError: there is no such member
    """
    found = next((each for each in kind if each == value), None) if isinstance(value, str) else None
    if found is None:
        raise SourceError(f"{name} must be one of {', '.join(kind)}, not {shown(value)}{meant(value, kind)}")
    return found
