"""How Bulk API 1.0 refuses: ``<error>`` with a code and a message, or the same pair in JSON.

"HTTP: 200, 201, 400 for nearly every error, 405, 415, 500"; "an expired session is 400 ``InvalidSessionId``, not 401".
"""

from __future__ import annotations

import json

from starlette.responses import Response

from airflow_provider_sfbulk.local_org.bulk1.formats import JSON_TYPE, NAMESPACE, XML_TYPE
from airflow_provider_sfbulk.local_org.http import xml_out
from airflow_provider_sfbulk.local_org.http.replies import ApiError


class AsyncError(ApiError):
    """A call that Bulk API 1.0 refuses.

    :param code: ``exceptionCode``
    :ivar as_json: whether the answer is JSON: where the refusal is raised that is seldom known
    """

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(status, code, message)
        self.as_json = False

    def response(self) -> Response:
        """Return the answer that says so."""
        if self.as_json:
            text = json.dumps({"exceptionCode": self.code, "exceptionMessage": self.message}, ensure_ascii=False)
            return Response(text.encode(), self.status, headers={**self.headers, "Content-Type": JSON_TYPE})
        body = (
            f'{xml_out.DECLARATION}<error\n   xmlns="{NAMESPACE}">\n {xml_out.element("exceptionCode", self.code)}\n '
            f"{xml_out.element('exceptionMessage', self.message)}\n</error>\n"
        )
        return Response(body.encode(), self.status, headers={**self.headers, "Content-Type": XML_TYPE})
