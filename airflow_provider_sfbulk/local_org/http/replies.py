"""Bodies of answers: JSON as Salesforce writes it, and the one error shape of REST and Bulk API 2.0.

Errors are a JSON **array** of ``{"errorCode", "message"}``; only the token endpoint answers an object. Error tree::

    ApiError                 any refusal: status, code, message
    ├── NotFoundError        404 NOT_FOUND
    └── SessionError         401 INVALID_SESSION_ID, with ``WWW-Authenticate: Token``
    OAuthError               {"error", "error_description"}, 400 unless a test asks for another status
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

JSON_TYPE = "application/json;charset=UTF-8"
CSV_TYPE = "text/csv; charset=UTF-8"


class ApiError(Exception):
    """A call that Salesforce refuses.

    :param status: HTTP status
    :param code: ``errorCode``
    :param fields: the fields that it is about; None: the answer does not have ``fields``
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        fields: Sequence[str] | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.fields = fields

    @property
    def body(self) -> Any:
        """What the answer's body says."""
        named = {} if self.fields is None else {"fields": list(self.fields)}
        return [{"message": self.message, "errorCode": self.code, **named}]

    def response(self) -> Response:
        """Return the answer that says so."""
        return reply(self.body, status=self.status, headers=self.headers)


class NotFoundError(ApiError):
    """No such path, version, job or object."""

    def __init__(self) -> None:
        super().__init__(404, "NOT_FOUND", "The requested resource does not exist")


class SessionError(ApiError):
    """No token, a wrong one, or one whose session is over."""

    def __init__(self, message: str = "Session expired or invalid", *, code: str = "INVALID_SESSION_ID") -> None:
        super().__init__(401, code, message, headers={"WWW-Authenticate": "Token"})


class OAuthError(Exception):
    """A refusal of the token endpoint, which Salesforce gives as 400."""

    def __init__(
        self, error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error, description)
        self.error = error
        self.description = description
        self.status = status
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer that says so."""
        body = {"error": self.error, "error_description": self.description}
        return reply(body, status=self.status, headers=self.headers)


def reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON, keys in the order given."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Response(text.encode(), status_code=status, headers={**(headers or {}), "Content-Type": JSON_TYPE})
