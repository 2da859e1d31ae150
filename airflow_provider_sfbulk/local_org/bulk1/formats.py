"""Which body comes in which format, refusals included.

==================  =======================  ====================  ==============  =================
job ``contentType`` batch ``Content-Type``   job and batch info    data results    query results
==================  =======================  ====================  ==============  =================
``XML``             ``application/xml``      XML                   XML             XML
``CSV``             ``text/csv``             XML                   CSV             CSV
``JSON``            ``application/json``     JSON                  JSON            JSON
==================  =======================  ====================  ==============  =================

"The info format follows the job's content type; where no job is in play it follows the request's ``Content-Type``, XML
when absent." Recorded besides: a job created with an XML body but ``<contentType>JSON</contentType>`` got an XML answer.
And clients that want JSON for a CSV job send the job's body as JSON "and get JSON for the job calls only". So here: a
call with a jobInfo body is answered in that body's format, a GET of a job in JSON when the job or the call's
``Content-Type`` is JSON, and what concerns batches as the table says.

The content types carry no charset: clients compare them with the bare ones.

A refusal is ``<error>`` with a code and a message, or the same pair in JSON. "HTTP: 200, 201, 400 for nearly every error,
405, 415, 500"; "an expired session is 400 ``InvalidSessionId``, not 401".
"""

from __future__ import annotations

import json
from typing import Final

from starlette.responses import Response

from airflow_provider_sfbulk.local_org.http import xml
from airflow_provider_sfbulk.local_org.http.replies import ApiError

NAMESPACE: Final = "http://www.force.com/2009/06/asyncapi/dataload"

XML_TYPE: Final = "application/xml"
CSV_TYPE: Final = "text/csv"
JSON_TYPE: Final = "application/json"

CONTENT_TYPES: Final = {"XML": XML_TYPE, "CSV": CSV_TYPE, "JSON": JSON_TYPE}
"""``Content-Type`` of a batch by its job's ``contentType``."""

ZIP_TYPES: Final = {"ZIP_XML": "zip/xml", "ZIP_CSV": "zip/csv", "ZIP_JSON": "zip/json"}
"""Jobs with attachments, which the local org refuses."""

INFO_TYPES: Final = frozenset({XML_TYPE, JSON_TYPE})
"""What a jobInfo can be written in."""


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
            f'{xml.DECLARATION}<error\n   xmlns="{NAMESPACE}">\n {xml.element("exceptionCode", self.code)}\n '
            f"{xml.element('exceptionMessage', self.message)}\n</error>\n"
        )
        return Response(body.encode(), self.status, headers={**self.headers, "Content-Type": XML_TYPE})
