"""Checks many objects for changes with one call.

The facts:

* "The entire series of requests counts as a single call toward your API limits", and up to five of a call's subrequests
  may be queries (*REST API Developer Guide*, "Composite"). A failed subrequest does not touch the others unless
  ``allOrNone`` is set. (Of ``composite/batch`` "each subrequest counts against rate limits".)
* ``/sobjects/X/updated`` answers with every id, up to 600,000, cuts the seconds off its ends, and knows only objects
  that can be replicated. A query with the window's conditions finds the same records as an extract of that window, and
  one row is enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from airflow_provider_sfbulk.client.effects import Flow, Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, SfBulkError
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, data_path, json_body, json_of
from airflow_provider_sfbulk.client.protocol.org import date_of
from airflow_provider_sfbulk.client.replies.refusal import error_for
from airflow_provider_sfbulk.client.soql import soql_literal

QUESTIONS_A_CALL: Final = 5
"""Maximum queries among the subrequests of one composite call."""

_STATUSES: Final = range(100, 600)


@dataclass(frozen=True)
class Question:
    """Asks whether an object has records that were stamped in a window.

    :param field: the datetime that is the stamp
    :param since: start of the window, included
    :param until: end of the window, excluded
    :param include_deleted: whether records in the recycle bin count, too
    """

    sobject: str
    field: str
    since: datetime
    until: datetime
    include_deleted: bool

    def path(self, api_version: str) -> str:
        """Return the URL of the query, from ``/services`` on."""
        soql = (
            f"SELECT Id FROM {self.sobject} WHERE {self.field} >= {soql_literal(self.since)} "  # noqa: S608 - SOQL
            f"AND {self.field} < {soql_literal(self.until)} LIMIT 1"
        )
        return f"{data_path(api_version, 'queryAll' if self.include_deleted else 'query')}?q={quote(soql)}"


@dataclass(frozen=True)
class Look:
    """The result of one call.

    :param answers: for each question whether there are such records, or why that is unknown
    :param org_time: the time by the org's clock, if the reply has it
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
    # The reply is read here, since its headers have the time.
    reply = yield from call(ApiCall("POST", path, body=json_body({"allOrNone": False, "compositeRequest": asked})))
    entries = json_of(reply, "POST", path)
    entries = entries.get("compositeResponse") if isinstance(entries, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ProtocolError(f"POST {path}: an object with a list of answers is due", path=path)
    given = [each.get("referenceId") for each in entries]
    if len(given) != len(asked) or any(each["referenceId"] not in given for each in asked):
        raise ProtocolError(f"POST {path}: an answer to each subrequest is due, and no other", path=path)
    answers = [
        _answer(entries[given.index(each["referenceId"])], path=f"{path} (a query of {question.sobject})")
        for each, question in zip(asked, questions, strict=True)
    ]
    return Look(answers, date_of(reply))


def _answer(entry: Mapping[str, Any], *, path: str) -> bool | SfBulkError:
    """Read an answer; what is wrong with it is no matter of the other ones."""
    status, body = entry.get("httpStatusCode"), entry.get("body")
    if not isinstance(status, int) or status not in _STATUSES:
        return ProtocolError(f"GET {path}: an HTTP status is due", path=path)
    if status != HTTPStatus.OK:
        return error_for(Reply(status, {}, json.dumps(body).encode()), method="GET", path=path)
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list):
        return ProtocolError(f"GET {path}: a list of records is due", path=path)
    return bool(records)
