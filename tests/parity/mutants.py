"""Changes of the product that break lines of the list, some of every group whose lines tests show.

Of groups that pages show (K8, K9, A1, G15) each phrase is taken out of its page by ``test_parity.py``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Mutant:
    """A change of the text of one module.

    :ivar lines: the lines that it breaks: of each a test must fail
    """

    what: str
    lines: tuple[str, ...]
    module: str
    old: str
    new: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _m(what: str, lines: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(what, tuple(lines.split()), module, old, new)


MUTANTS: Final = (
    _m(
        "pauses do not grow",
        "K1.3 K8.3",
        "client.waiting.schedule",
        "min(self.longest, max(self.first, age * self.growth))",
        "self.first",
    ),
    _m("update inserts", "K2.2 A3.2", "client.bulk", "Operation.UPDATE, records", "Operation.INSERT, records"),
    _m("delete for good", "K2.4 A3.3", "client.bulk", "Operation.DELETE, ids", "Operation.HARD_DELETE, ids"),
    _m("hard delete is soft", "K2.5", "client.bulk", "Operation.HARD_DELETE, ids", "Operation.DELETE, ids"),
    _m("soql is tidied up", "K2.10", "client.protocol.jobs", '"query": soql', '"query": " ".join(soql.split())'),
    _m(
        "a counter is not read",
        "K3.8 I1.17",
        "client.models",
        '"numberRecordsFailed", _count',
        '"recordsFailed", _count',
    ),
    _m("failed jobs go on", "K3.9", "client.models", "return self.state.is_final", "return self.is_successful"),
    _m(
        "failed counts what was saved",
        "K4.6",
        "client.faces.bulk_result",
        'return self._count("failed")',
        'return self._count("successful")',
    ),
    _m(
        "a failed job has no error",
        "K4.8 K7.4",
        "client.faces.bulk_result",
        "yield Give([_error_of(job)",
        "yield Give([] and [_error_of(job)",
    ),
    _m(
        "pages after the first are not read",
        "K5.2 A4.9",
        "client.faces.query_result",
        "while not pages or pages[-1].next_locator is not None:",
        "while not pages:",
    ),
    _m("queries have a locator", "K5.4", "client.faces.whole_results", "locator: None = None", 'locator: Any = "more"'),
    _m("errors without fields", "K6.1", "client.models", "message, tuple(names.split()))", "message)"),
    _m(
        "progress is not told",
        "K7.1 K1.5",
        "client.waiting.wait",
        "yield Aside(partial(self._on_progress, job))",
        "pass",
    ),
    _m(
        "rates in percent",
        "K10.2",
        "client.faces.bulk_result",
        "return self.successful_count / self.total_count if",
        "return 100 * self.successful_count if",
    ),
    _m(
        "unprocessed records are not found",
        "A2.4 K4.7",
        "client.protocol.jobs",
        '"unprocessedrecords"',
        '"failedResults"',
    ),
    _m(
        "an upsert is an insert",
        "A3.4 K2.3",
        "client.bulk",
        "Operation.UPSERT, records, external_id_field=external_id_field",
        "Operation.INSERT, records",
    ),
    _m(
        "a list of jobs is empty",
        "A4.3",
        "client.faces.job_calls",
        "yield Give(page.jobs)",
        "yield Give(page.jobs[:0])",
    ),
    _m(
        "calls do not name their client",
        "A5.7",
        "client.protocol.call",
        '"Sforce-Call-Options": f"client={CLIENT}", ',
        "",
    ),
    _m("line endings are not read", "I1.14", "client.models", '"lineEnding", as_text', '"lineending", as_text'),
    _m("no result by job", "I2.1 A2.1 I4.10", "client.faces.bulk_result", "yield Give([one])", "yield Give([])"),
    _m(
        "no assignment rule",
        "I3.4 I4.8 A3.5",
        "client.protocol.spec",
        '"assignmentRuleId": self.assignment_rule_id,',
        "",
    ),
    _m("no Accept", "I3.11", "client.protocol.call", '"Accept": api.accept, ', ""),
    _m("uploads without charset", "I3.9", "client.parts.split", '"text/csv; charset=UTF-8"', '"text/csv"'),
    _m(
        "JSON without charset",
        "I3.11",
        "client.protocol.call",
        '"application/json; charset=UTF-8"',
        '"application/json"',
    ),
    _m(
        "no column delimiter", "I3.3 A4.1", "client.protocol.spec", '"columnDelimiter": member(', '"delimiter": member('
    ),
    _m(
        "parts of any size",
        "I4.5",
        "client.ingest",
        'count(most=limits.PART_BYTES)("part_bytes", part_bytes)',
        'count(most=10**12)("part_bytes", part_bytes)',
    ),
    _m("parts lack their header", "I5.1 G16.2", "client.parts.split", "self._write(stream.header)", "pass"),
    _m(
        "archives are CSV",
        "G1.3",
        "client.bulk1.models",
        'ContentType.ZIP_CSV: "zip/csv"',
        'ContentType.ZIP_CSV: "text/csv"',
    ),
    _m("the session goes elsewhere", "G2.4", "client.protocol.call", '"X-SFDC-Session"', '"X-Session"'),
    _m(
        "closing is a PATCH",
        "G3.4 G3.5 G3.13",
        "client.bulk1.calls",
        '        body = job_body({"state": str(state)}, ContentType.XML)\n        api = ApiCall("POST"',
        '        body = job_body({"state": str(state)}, ContentType.XML)\n        api = ApiCall("PATCH"',
    ),
    _m(
        "a v before the version",
        "G3.1 G3.2 G3.6",
        "client.protocol.call",
        'f"{_ASYNC}{api_version}"',
        'f"{_ASYNC}v{api_version}"',
    ),
    _m("batches without charset", "G3.16", "client.bulk1.models", '"text/csv; charset=UTF-8"', '"text/csv"'),
    _m("XML without charset", "G3.16", "client.bulk1.calls", '"application/xml; charset=UTF-8"', '"application/xml"'),
    _m("another namespace", "G3.17 G5.6", "client.bulk1.object_rows", "2009/06/asyncapi", "2010/06/asyncapi"),
    _m(
        "operations in small letters",
        "G4.19",
        "client.bulk1.calls",
        '"operation": str(self.operation)',
        '"operation": str(self.operation).lower()',
    ),
    _m(
        "a state of a job is not known",
        "G4.20",
        "client.bulk1.models",
        '    FAILED = "Failed"\n    UPLOAD',
        "    UPLOAD",
    ),
    _m(
        "Not Processed never ends",
        "G6.15 G16.4",
        "client.bulk1.models",
        "return self not in (BatchState.QUEUED, BatchState.IN_PROGRESS)",
        "return self in (BatchState.COMPLETED, BatchState.FAILED)",
    ),
    _m(
        "a job is done with its first batch",
        "G4.14",
        "client.bulk1.waiting",
        "or not all(each.is_final for each in batches)",
        "or not any(each.is_final for each in batches)",
    ),
    _m(
        "failed batches are not asked",
        "G6.14 G7.6",
        "client.bulk1.outcome",
        "    if end.processed:\n",
        "    if not end:\n",
    ),
    _m(
        "results in another order",
        "G7.3",
        "client.bulk1.results",
        "yield Give(outcome.rows())",
        "yield Give(reversed(list(outcome.rows())))",
    ),
    _m("everything is created", "G7.4", "client.bulk1.result_rows", "_flags(created)", "_flags(success)"),
    _m(
        "the first FROM is the root",
        "G8.8",
        "client.bulk1.calls",
        'if not depth and word["object"]:',
        'if word["object"]:',
    ),
    _m("one result file is read", "G8.3", "client.bulk1.results", "for result_id in ids:", "for result_id in ids[:1]:"),
    _m(
        "quotes are not doubled",
        "G9.6",
        "client.parts.encode",
        """compute.replace_substring(inner, b'"', b'""')""",
        "inner",
    ),
    _m(
        "blanks beside quotes pass",
        "G9.7",
        "client.csv.scan",
        "wrong = self.quotes & ~((may_open & self.inside) | (may_close & ~self.inside))",
        "wrong = bits.nowhere(self.data)",
    ),
    _m("times are local", "G10.1 G10.3", "client.values.text", "utc = moment.astimezone(UTC)", "utc = moment"),
    _m("nulls are left in XML", "G11.5", "client.bulk1.object_rows", "f'<{name} xsi:nil=\"true\"/>'", "''"),
    _m(
        "codes of 1.0 are not read",
        "G12.2 G12.17",
        "client.replies.refusal",
        '"errorCode", "exceptionCode", "error"',
        '"errorCode", "error"',
    ),
    _m(
        "batches of any size",
        "G13.7",
        "client.bulk1.api",
        'count(most=limits.BATCH_RECORDS)("batch_records", batch_records)',
        "pass",
    ),
    _m("compressed without a word", "G14.2", "client.bulk1.calls", '{"Content-Encoding": "gzip"}', "{}"),
    _m("the batch is not the SOQL", "G17.2 G8.1", "client.bulk1.waiting", "soql.encode()", "b'SELECT Id FROM User'"),
    _m(
        "the list of jobs ends with its first page",
        "I3.6 A4.3",
        "client.faces.job_calls",
        "            locator = page.next_locator\n",
        "            locator = None\n",
    ),
    _m(
        "jobs of every type are listed",
        "B1.2",
        "client.protocol.jobs",
        'query = [("jobType", job_type or _V2_TYPE[self.type])]',
        "query = []",
    ),
    _m(
        "when a job was made is read as when it changed",
        "K3.6 I1.6",
        "client.models",
        '"system_modstamp": ("systemModstamp"',
        '"system_modstamp": ("createdDate"',
    ),
    _m(
        "when a batch was made is read as when it changed",
        "G4.21 G6.9",
        "client.bulk1.models",
        '"system_modstamp": ("systemModstamp"',
        '"system_modstamp": ("createdDate"',
    ),
    _m("replies are not asked for compressed", "G14.1", "client.http.exchange", ', "Accept-Encoding": "gzip"', ""),
    _m(
        "batches of any length",
        "G13.6 G13.8 G14.3",
        "client.bulk1.api",
        "max_bytes=batch_bytes,",
        "max_bytes=limits.PART_BYTES,",
    ),
    _m(
        "jobs of 1.0 stay open",
        "G15.13 G16.1",
        "client.bulk1.load",
        "            yield from self.jobs.close(job_id)",
        "            yield from self.jobs.get(job_id)",
    ),
    _m(
        "batches are not compressed",
        "G16.5 G14.2",
        "client.bulk1.api",
        "        compress: bool = True,",
        "        compress: bool = False,",
    ),
    _m(
        "parents of several kinds need no type",
        "G9.13",
        "client.parts.columns",
        "        if len(targets) > 1:\n            found",
        "        if False:\n            found",
    ),
    _m("parents of parents", "G9.12", "client.parts.columns", 'if "." in leaf or not leaf', "if not leaf"),
    _m(
        "queries do not tell their progress",
        "K2.6",
        "client.query",
        "on_progress=on_progress\n        )\n        return self._result",
        "on_progress=None\n        )\n        return self._result",
    ),
    _m(
        "whole loads have no end",
        "K7.5 K2.1",
        "client.faces.job_calls",
        'timeout_seconds(self.timeout),\n            "on',
        'None,\n            "on',
    ),
    _m("a schedule is ignored", "I4.9", "client.faces.job_calls", '"schedule": self.schedule,', ""),
    _m(
        "results come when all jobs have ended",
        "I4.10",
        "client.faces.bulk_result",
        "wait.until(lambda: bool(ended))",
        "wait.until(lambda: len(ended) == len(left))",
    ),
    _m(
        "what was saved is read as what failed",
        "K4.2",
        "client.faces.bulk_result",
        '(lambda: self.successful_count), (lambda: self._records("successful"))',
        '(lambda: self.successful_count), (lambda: self._records("failed"))',
    ),
    _m(
        "blanks are lost in XML",
        "G11.4",
        "client.bulk1.object_rows",
        "escape(text, _RETURN)",
        "escape(text.strip(), _RETURN)",
    ),
    _m(
        "a parent's type is lost in XML",
        "G11.2 G11.3",
        "client.bulk1.object_rows",
        "_fields(value, zone)}</sObject></",
        "_fields({}, zone)}</sObject></",
    ),
    _m(
        "the host of the login is the org's",
        "G2.3",
        "client.auth.soap_login",
        '_instance(result.get("serverUrl"))',
        "settings.host",
    ),
    _m(
        "a session of 1.0 that has ended is not renewed",
        "G12.9 G2.8",
        "client.replies.refusal",
        '{"INVALID_SESSION_ID", "InvalidSessionId"}',
        '{"INVALID_SESSION_ID"}',
    ),
    _m(
        "records of any width", "G13.10", "client.parts.columns", "if len(columns) > limits.RECORD_FIELDS:", "if False:"
    ),
    _m("other delimiters go out by 1.0", "G9.2", "client.bulk1.api", "split(with_commas(fitted)", "split((fitted)"),
    _m(
        "every poll reads all batches",
        "G15.12",
        "client.bulk1.waiting",
        "if job.number_batches_queued or job.number_batches_in_progress:",
        "if False:",
    ),
    _m(
        "errors without a message",
        "K6.2",
        "client.models",
        "message, tuple(names.split()))",
        '"", tuple(names.split()))',
    ),
    _m(
        "asking for a job aborts it",
        "A4.2 I3.5",
        "client.faces.job_calls",
        "return self._jobs.get(job_id)",
        "return self._jobs.abort(job_id)",
    ),
    _m(
        "a result has no pages",
        "B1.1",
        "client.query",
        "return (yield from query.result_pages(self._query.at(job.api_version), job_id))",
        "return []",
    ),
    _m("a query that failed has no rows", "K7.6", "client.query", "check_complete(job)", "job"),
    _m(
        "parts of any length",
        "I4.11",
        "client.ingest",
        "parts = split(stream, max_bytes=part_bytes,",
        "parts = split(stream, max_bytes=limits.PART_BYTES,",
    ),
    _m(
        "rows of XML are held in memory",
        "G8.10",
        "client.bulk1.object_rows",
        "for element in ends(file):",
        "for element in list(ends(file)):",
    ),
    _m(
        "a job with its data is not multipart",
        "B1.3",
        "client.protocol.jobs",
        "body = spec.multipart(data)",
        "body = json_body(spec.to_json())",
    ),
)
