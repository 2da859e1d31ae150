"""Whether objects have changes: many objects in one call.

The facts:

* "The entire series of requests counts as a single call toward your API limits", and up to five of a call's subrequests
  may be queries (*REST API Developer Guide*, "Composite"). A failed subrequest does not touch the others unless
  ``allOrNone`` is set. (Of ``composite/batch`` "each subrequest counts against rate limits".)
* ``/sobjects/X/updated`` answers with every id, up to 600,000, cuts the seconds off its ends, and knows only objects that
  can be replicated. A query by the window's own conditions asks what an extract of that window would find, and one row of
  it is enough.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from airflow_provider_sfbulk.client.effects import Flow, Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, SfBulkError, TransportError
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, data_path, json_body
from airflow_provider_sfbulk.client.protocol.org import date_of
from airflow_provider_sfbulk.client.replies.refusal import error_for
from airflow_provider_sfbulk.client.replies.safe_json import MalformedJsonError, parse
from airflow_provider_sfbulk.client.soql import soql_literal

QUESTIONS_A_CALL: Final = 5
"""Queries among the subrequests of one composite call."""


@dataclass(frozen=True)
class Question:
    """Whether an object has records that were stamped in a window.

    :param field: the datetime that is the stamp
    :param since: begin of the window, inside of it
    :param until: end of the window, outside of it
    :param include_deleted: whether records in the recycle bin count, too
    """

    sobject: str
    field: str
    since: datetime
    until: datetime
    include_deleted: bool

    def path(self, api_version: str) -> str:
        """Give the address of the query, from ``/services`` on."""
        soql = (
            f"SELECT Id FROM {self.sobject} WHERE {self.field} >= {soql_literal(self.since)} "  # noqa: S608 - SOQL
            f"AND {self.field} < {soql_literal(self.until)} LIMIT 1"
        )
        return f"{data_path(api_version, 'queryAll' if self.include_deleted else 'query')}?q={quote(soql)}"


@dataclass(frozen=True)
class Look:
    """What one call has found.

    :param answers: of each question whether there are such records, or why it cannot be said
    :param org_time: the time by the org's clock, when the reply says it
    """

    answers: list[bool | SfBulkError]
    org_time: datetime | None


def look_for_changes(questions: Sequence[Question], *, api_version: str) -> Flow[Look]:
    """Ask up to ``QUESTIONS_A_CALL`` questions with one call.

    :raises SfBulkError: the call itself failed
    """
    asked = [
        {"method": "GET", "url": question.path(api_version), "referenceId": f"q{number}"}
        for number, question in enumerate(questions)
    ]
    path = data_path(api_version, "composite")
    reply = yield from call(ApiCall("POST", path, body=json_body({"allOrNone": False, "compositeRequest": asked})))
    try:
        entries = parse(reply.body)["compositeResponse"]
        found = {each["referenceId"]: (int(each["httpStatusCode"]), each["body"]) for each in entries}
        answers = [
            _answer(*found[f"q{number}"], path=f"{path} (a query of {each.sobject})")
            for number, each in enumerate(questions)
        ]
    except MalformedJsonError as error:
        raise TransportError(f"POST {path}: the reply is {error}", status=reply.status, path=path) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"POST {path}: an answer to each subrequest is due", path=path) from error
    return Look(answers, date_of(reply))


def _answer(status: int, body: Any, *, path: str) -> bool | SfBulkError:
    if status == HTTPStatus.OK:
        return bool(body["records"])
    return error_for(Reply(status, {}, json.dumps(body).encode()), method="POST", path=path)
