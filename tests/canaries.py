"""Canaries: values that must not be found anywhere, in each spelling that a log or a database may have of them, and an org
that quotes all of them when it refuses.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from starlette.responses import Response

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault

BOUND: Final = "Canary Bound+Value 4711"
CELL: Final = "Canary Cell/Value 0815"
KNOWABLE: Final = 8


class Refuses(Fault):
    """Refuses, and quotes all that it may have been sent."""

    def __init__(self, status: int, code: str, org: LocalOrg) -> None:
        said = f"no: {org.client_secret} WHERE Name = '{BOUND}' \x1b[2J {CELL}"
        self._body = json.dumps([{"errorCode": code, "message": said}, {"error": code, "error_description": said}])
        self._status = status

    async def before(self, exchange: Exchange) -> Response | None:
        return Response(self._body, self._status, media_type="application/json")


class Fails(Fault):
    """Lets every job fail, with a message that quotes a row and the query."""

    async def after(self, exchange: Exchange, response: Response) -> Response:
        read = json.loads(bytes(response.body))
        if "state" in read:
            read |= {"state": "Failed", "errorMessage": f"InvalidBatch : cannot read '{CELL}' or '{BOUND}'"}
        return Response(json.dumps(read), response.status_code, media_type="application/json")


FAULTS: Final[dict[str, Callable[[LocalOrg], tuple[str, Fault]]]] = {
    "refused": lambda org: ("*", Refuses(400, "INVALID_FIELD", org)),
    "forbidden": lambda org: ("*", Refuses(403, "INSUFFICIENT_ACCESS", org)),
    "refused login": lambda org: ("oauth.token", Refuses(400, "invalid_grant", org)),
    "refused query": lambda org: ("query.create", Refuses(400, "MALFORMED_QUERY", org)),
    "refused upload": lambda org: ("ingest.upload", Refuses(400, "INVALIDJOB", org)),
    "refused batch": lambda org: ("bulk1.add_batch", Refuses(400, "InvalidBatch", org)),
    "failed ingest job": lambda org: ("ingest.get", Fails()),
    "failed query job": lambda org: ("query.get", Fails()),
    "no results": lambda org: ("query.results", Refuses(403, "INSUFFICIENT_ACCESS", org)),
}


def spellings(text: str) -> set[str]:
    """As it is, as in a URL, as Python and JSON write it, and in base64, wherever in the encoded bytes it begins, unless
    that leaves too little of it to know it by.
    """
    data = text.encode()
    packed = {base64.b64encode(bytes(at) + data).decode()[4:-4] for at in range(3)}
    written = {text, quote(text), quote(text, safe=""), repr(text)[1:-1], json.dumps(text)[1:-1]}
    return written | {each for each in packed if len(each) >= KNOWABLE}
