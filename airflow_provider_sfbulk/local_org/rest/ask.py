"""One call of the REST API without HTTP, so that ``/composite`` can make several inside one call.

An operation is a plain function of what is asked; it runs in a thread, and holds no event loop up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from starlette.responses import Response

from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.json_body import read_json
from airflow_provider_sfbulk.local_org.http.replies import ApiError, NotFoundError, reply


@dataclass(frozen=True)
class Ask:
    """What is asked.

    :ivar version: of the API: ``66.0``
    :ivar parts: what the path captured
    :ivar query: parameters of the address
    :ivar headers: by lower-case name
    :ivar body: the JSON, numbers as :class:`Number`
    """

    core: Core
    version: str
    parts: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def base(self) -> str:
        """Where the resources of this version are."""
        return f"/services/data/v{self.version}"

    @property
    def sobject(self) -> SObject:
        """The object that the path names.

        :raises NotFoundError: when there is none
        """
        found = self.core.schema.get(self.parts["sobject"])
        if found is None:
            raise NotFoundError
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a parameter that is true or false."""
        return self.query.get(name, str(default)).lower() == "true"

    def object_of(self, *known: str) -> dict[str, Any]:
        """Return the body, which has to be a JSON object.

        :param known: the properties that it may have; none: any
        :raises ApiError: when it is something else
        """
        if not isinstance(self.body, dict):
            message = "The HTTP entity body is required, but this request has no entity body."
            raise ApiError(400, "JSON_PARSER_ERROR", message)
        for name in self.body:
            if known and name not in known:
                raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{name}" at [line:1, column:1]')
        return self.body


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Number(str):
    """A JSON number as it was written: its field decides what it is."""

    __slots__ = ()


Operation = Callable[[Ask], Answer]


class RestHandler:
    """An operation as the handler of a route."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    def __call__(self, call: Incoming) -> Awaitable[Response]:
        return self._answer(call)

    async def _answer(self, call: Incoming) -> Response:
        ask = Ask(
            core=call.core,
            version=call.version,
            parts=call.parts,
            query=call.request.query_params,
            headers=call.request.headers,
            body=parse(await body_of(call)),
        )
        answer = await anyio.to_thread.run_sync(self.operation, ask)
        if answer.body is None:
            return Response(status_code=answer.status, headers=dict(answer.headers))
        return reply(answer.body, status=answer.status, headers=answer.headers)


async def body_of(call: Incoming) -> bytes:
    """Return the body, unpacked.

    :raises ApiError: 415 for one that is not JSON
    """
    body = await call.body()
    if body:
        call.require_media_type("application/json")
    return body


def parse(body: bytes) -> Any:
    """Return the JSON of a body, numbers as they are written; None for no body.

    :raises ApiError: for anything else
    """
    if not body.strip():
        return None
    try:
        return read_json(body, number=Number)
    except ValueError as error:
        message = f"The HTTP entity body is not valid JSON: {error}"
        raise ApiError(400, "JSON_PARSER_ERROR", message.replace("\n", " ")) from error
