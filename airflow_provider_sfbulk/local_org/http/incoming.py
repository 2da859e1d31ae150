"""One call on its way through the org, and how its body is read."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.http.json_body import read_json
from airflow_provider_sfbulk.local_org.http.replies import ApiError, SessionError
from airflow_provider_sfbulk.local_org.login.credentials import Session


@dataclass
class Incoming:
    """One call.

    :ivar parts: what the route's path captured
    """

    core: Core
    request: Request
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The API version in the URL: ``66.0``."""
        return self.parts["version"]

    @property
    def media_type(self) -> str:
        """The ``Content-Type`` without parameters, in lower case."""
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_on_login_host(self) -> bool:
        """Whether the caller named the host that is for logging in only."""
        return self.core.login_host is not None and self.request.url.hostname == self.core.login_host

    def session(self) -> Session:
        """Return the session of the call's token.

        :raises SessionError: when there is none
        """
        header = self.request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        # Old clients send "OAuth" instead of "Bearer", which works.
        if header and scheme.lower() not in ("bearer", "oauth"):
            raise SessionError("INVALID_HEADER_TYPE", code="INVALID_AUTH_HEADER")
        session = self.core.sessions.get(token.strip())
        if session is None:
            raise SessionError
        return session

    def require_media_type(self, expected: str) -> None:
        """Refuse a body of another type.

        :raises ApiError: 415
        """
        if self.media_type != expected:
            message = f"Content-Type {self.media_type or 'is missing'} is not supported here, {expected} is"
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)

    async def json(self, known: Collection[str]) -> dict[str, Any]:
        """Return the JSON object of the body.

        :param known: the properties that the resource has
        :raises ApiError: 415 for another content type, 400 for anything but an object of known properties
        """
        self.require_media_type("application/json")
        return parse_json(await self.body(), known)

    async def body(self) -> bytes:
        """Return the body, unpacked.

        :raises ApiError: when it is not what its ``Content-Encoding`` says
        """
        body = await self.request.body()
        is_packed = self.request.headers.get("content-encoding", "").lower() == "gzip"
        return _unzipped(body) if is_packed else body


def parse_json(body: bytes, known: Collection[str]) -> dict[str, Any]:
    """Return a JSON object.

    :raises ApiError: when it is not JSON object, or has a property that is not known
    """
    try:
        parsed = read_json(body)
    except ValueError as error:
        raise ApiError(400, "JSON_PARSER_ERROR", f"The HTTP entity body is not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object")
    for name in parsed:
        if name not in known:
            raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{name}" at {_place(body.decode(), name)}')
    return parsed


def _place(text: str, name: str) -> str:
    """Say where a property's value begins, as the server's parser does: ``[line:1, column:9]``."""
    matched = re.search(rf"{re.escape(json.dumps(name))}\s*:\s*.", text, re.DOTALL)
    end = matched.end() if matched else 0
    return f"[line:{text.count(chr(10), 0, end) + 1}, column:{end - text.rfind(chr(10), 0, end)}]"


def _unzipped(body: bytes) -> bytes:
    try:
        return zlib.decompress(body, wbits=zlib.MAX_WBITS | 16)
    except zlib.error as error:
        raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body is not valid gzip") from error
