"""``/composite`` and ``/composite/batch``: several calls in one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_sfbulk.local_org.http.replies import ApiError
from airflow_provider_sfbulk.local_org.rest.ask import Answer, Ask, Operation
from airflow_provider_sfbulk.local_org.rest.saving import RolledBackError

CALLS_MOST: Final = 25
""""Up to 25 subrequests in a single call"."""

QUERIES_MOST: Final = 5
""""Up to 5 of these subrequests can be" queries or sObject collections, of a composite call and not of a batch."""

_QUERIED: Final = re.compile(r"/services/data/v[\d.]+/(?:query|queryAll|composite/sobjects)\b")

Find = Callable[[str, str], tuple[Operation, Mapping[str, str]]]
"""Method and path to the operation that answers it and what the path captured."""

_REFERENCE: Final = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])*)\}")
_HALTED: Final = [
    {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same transaction failed.",
    }
]


class Composite:
    """The two resources; they need to find other operations by their addresses."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def show(self, ask: Ask) -> Answer:
        """``GET /composite``."""
        return Answer({name: f"{ask.base}/composite/{name}" for name in ("batch", "sobjects", "tree")})

    def composite(self, ask: Ask) -> Answer:
        """``POST /composite``: calls that can use each other's answers."""
        body = ask.object_of("allOrNone", "collateSubrequests", "compositeRequest")
        calls = _calls(body, "compositeRequest")
        if sum(_QUERIED.match(str(call.get("url"))) is not None for call in calls) > QUERIES_MOST:
            message = f"at most {QUERIES_MOST} subrequests can be queries or sObject collections"
            raise ApiError(400, "INVALID_INPUT", message)
        references = [call.get("referenceId") for call in calls]
        if not all(isinstance(each, str) and re.fullmatch(r"\w+", each) for each in references):
            raise ApiError(400, "JSON_PARSER_ERROR", "each subrequest needs a referenceId of letters, digits and _")
        if len(set(references)) < len(references):
            raise ApiError(400, "INVALID_INPUT", "referenceId has to be unique in the request")
        answers: dict[str, Answer] = {}
        all_or_none = body.get("allOrNone") is True
        core = ask.core
        try:
            if not all_or_none:
                self._run(ask, calls, answers)
            else:
                with core.saving, core.store.writing():
                    self._run(ask, calls, answers)
                    if any(answer.status >= 300 for answer in answers.values()):
                        raise RolledBackError
        except RolledBackError:
            for name, answer in answers.items():
                if answer.status < 300:
                    answers[name] = Answer(_HALTED, 400)
        return Answer(
            {
                "compositeResponse": [
                    {
                        "body": answer.body,
                        "httpHeaders": dict(answer.headers),
                        "httpStatusCode": answer.status,
                        "referenceId": name,
                    }
                    for name, answer in answers.items()
                ]
            }
        )

    def batch(self, ask: Ask) -> Answer:
        """``POST /composite/batch``: calls that have nothing to do with each other."""
        body = ask.object_of("batchRequests", "haltOnError")
        results: list[dict[str, Any]] = []
        halted = False
        for call in _calls(body, "batchRequests"):
            if halted:
                answer = Answer([{"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted."}], 412)
            else:
                url = str(call.get("url", "")).removeprefix("/services/data/").lstrip("/")
                answer = self._one(ask, call, f"/services/data/{url}", "richInput")
            halted |= body.get("haltOnError") is True and answer.status >= 300
            results.append({"statusCode": answer.status, "result": answer.body})
        return Answer({"hasErrors": any(each["statusCode"] >= 300 for each in results), "results": results})

    def _run(self, ask: Ask, calls: list[dict[str, Any]], answers: dict[str, Answer]) -> None:
        for call in calls:
            name = str(call["referenceId"])
            try:
                resolved = _resolved(call, answers)
            except LookupError as missing:
                message = f"Invalid reference specified. {missing.args[0]}. Provided reference: {name}"
                answers[name] = Answer([{"errorCode": "PROCESSING_HALTED", "message": message}], 400)
                continue
            answers[name] = self._one(ask, resolved, str(resolved.get("url", "")), "body")

    def _one(self, ask: Ask, call: Mapping[str, Any], url: str, body: str) -> Answer:
        method = str(call.get("method", "")).upper()
        parts = urlsplit(url)
        headers = call.get("httpHeaders") or {}
        try:
            operation, captured = self._find(method, unquote(parts.path))
            inner = Ask(
                core=ask.core,
                version=captured.get("version", ask.version),
                parts=captured,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={str(k).lower(): str(v) for k, v in headers.items()} if isinstance(headers, Mapping) else {},
                body=call.get(body),
            )
            return operation(inner)
        except ApiError as refused:
            return Answer(refused.body, refused.status, refused.headers)


def _calls(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    calls = body.get(name)
    if not isinstance(calls, list) or not calls or not all(isinstance(each, dict) for each in calls):
        raise ApiError(400, "JSON_PARSER_ERROR", f"{name} has to be an array of objects")
    if len(calls) > CALLS_MOST:
        raise ApiError(400, "INVALID_INPUT", f"at most {CALLS_MOST} subrequests are allowed in a call")
    return calls


def _resolved(value: Any, answers: Mapping[str, Answer]) -> Any:
    """Return a value with the references in it resolved: ``@{ref.id}``, ``@{ref.records[0].Id}``.

    :raises LookupError: for what no answer has
    """
    if isinstance(value, dict):
        return {name: _resolved(each, answers) for name, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, answers) for each in value]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda matched: str(_looked_up(matched, answers)), value)


def _looked_up(matched: re.Match[str], answers: Mapping[str, Answer]) -> Any:
    name, path = matched[1], matched[2]
    answer = answers.get(name)
    if answer is None or answer.status >= 300:
        raise LookupError(f"No value for {matched[0]} found in {name}")
    found: Any = answer.body
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        try:
            found = found[int(index)] if index else found[key]
        except (KeyError, IndexError, TypeError):
            raise LookupError(f"No value for {matched[0]} found in {name}") from None
    return found
