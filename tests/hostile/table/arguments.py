"""Arguments of calls of the clients, of operators, of the sensor and of windows."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import BytesIO, UnsupportedOperation
from pathlib import Path
from typing import Any, Final

from tests.hostile.table.line import HALF, HUGE, JOB_ID, Line, closed

# One line each.
# fmt: off


class _Silent:
    """A file that gives nothing, as one that is not to be waited for."""

    def read(self, _: int = -1) -> None:
        """Give nothing."""


class _Numbers:
    """A file that gives numbers."""

    def read(self, _: int = -1) -> int:
        """Give one."""
        return 7


class _ForWriting(BytesIO):
    """A file that cannot be read."""

    def read(self, _: int | None = -1) -> bytes:
        """Refuse, as Python does."""
        raise UnsupportedOperation("not readable")


_NO_IDS: Final = (
    ("nothing", None), ("a number", 7), ("empty", ""), ("a path", "../../x"), ("an id and a line end", f"{JOB_ID}\n"),
    ("bytes", JOB_ID.encode()), ("a list", [JOB_ID]), ("a dict", {}), ("a number of 5,000 digits", HUGE),
)


_OF_JOBS: Final = ("ingest.get_job", "ingest.wait", "query.result_pages", "bulk1.get_job", "bulk1.wait")
WRONG_CALLS: Final[list[tuple[str, str, str, Any]]] = [
    *((call, "job_id", what, value) for call in _OF_JOBS for what, value in _NO_IDS),
    ("bulk1.get_batch", "batch_id", "a path", "../.."),
    ("bulk1.query_results", "result_id", "a path", "../.."),
    *((call, "records", what, value) for call in ("insert", "ingest.serialize", "bulk1.perform") for what, value in (
        ("nothing", None), ("a number", HUGE), ("one dict", {"Name": "a"}), ("a class", BytesIO), ("half of a character", HALF),
        ("half of a character in a CSV", f"Name\n{HALF}\n"), ("a function", len), ("a closed file", closed()),
        ("a file for writing", _ForWriting()), ("a file that gives nothing", _Silent()),
        ("a file that gives numbers", _Numbers()), ("a folder", Path("/")), ("a device", "/dev/zero"), ("NUL", "a\0b"),
    )),
    *(("ingest.upload", "data", what, value) for what, value in (
        ("nothing", None), ("a number", 7), ("a file for writing", _ForWriting()), ("a class", BytesIO),
        ("a file that gives nothing", _Silent()), ("a file that gives numbers", _Numbers()),
    )),
    *(("ingest.create_job_with_data", "data", what, value) for what, value in (
        ("a number", 7), ("nothing", None), ("a list", []), ("a path", Path("x.csv")), ("half of a character", HALF),
    )),
    *(("bulk1.add_batch", "data", what, value) for what, value in (
        ("nothing", None), ("a number", 7), ("numbers", [1, 2]), ("a file that gives numbers", _Numbers()),
    )),
    *(("insert", name, what, value) for name, what, value in (
        ("skip_unchanged", "text", "False"), ("wait", "text", "False"), ("wait", "nothing", None), ("wait", "a number", 1),
        ("timeout", "text", "5"), ("timeout", "not a number", float("nan")), ("timeout", "huge", HUGE),
        ("timeout", "a thousand years", timedelta(days=365_250)), ("timeout", "negative", timedelta(seconds=-1)),
        ("on_progress", "a number", 7), ("on_progress", "text", "print"), ("schedule", "seconds", 7),
        ("schedule", "nothing", None), ("source_format", "unknown", "xlsx"), ("source_format", "a number", 7),
        ("assignment_rule_id", "bytes", b"x"), ("assignment_rule_id", "huge", HUGE), ("assignment_rule_id", "half", HALF),
        ("column_mapping", "a number", 7), ("column_mapping", "a list", ["Name"]), ("column_mapping", "of numbers", {1: 2}),
        ("nulls", "a list", ["clear"]), ("nulls", "true", True), ("nulls", "of numbers", {"Name": 7}),
        ("timezone", "a number", 7), ("timezone", "bytes", b"UTC"), ("timezone", "a path", "../../etc/passwd"),
        ("timezone", "NUL", "a\0b"), ("columns", "a number", 7), ("columns", "text", "Name"), ("columns", "a set", {"Name"}),
        ("columns", "numbers", [1]), ("part_bytes", "text", "1"), ("part_bytes", "0", 0), ("part_records", "huge", HUGE),
        ("max_concurrent_jobs", "a thousand", 1000), ("max_concurrent_jobs", "true", True),
        ("blank_external_ids", "unknown", "x"), ("column_delimiter", "a sign", ","), ("line_ending", "an object", object()),
    )),
    ("upsert", "external_id_field", "a number", 7),
    ("upsert", "external_id_field", "a condition", "Id = '' OR Name"),
    ("ingest.list_jobs", "job_type", "half of a character", HALF),
    ("ingest.list_jobs", "job_type", "a second parameter", "V2Ingest&queryLocator=x"),
    ("ingest.list_jobs", "job_type", "huge", HUGE),
    ("ingest.list_jobs", "is_pk_chunking_enabled", "text", "no"),
    ("ingest.list_jobs", "concurrency_mode", "an object", object()),
    ("query.create_job", "include_deleted", "text", "False"),
    ("query.perform", "include_deleted", "a number", 0),
    ("query.perform", "soql", "bytes", b"SELECT Id FROM Account"),
    ("query.perform", "page_records", "huge", HUGE),
    ("query.results", "max_records", "text", "10"),
    ("query.results", "max_records", "huge", HUGE),
    ("bulk1.create_job", "batch_retry", "text", "False"),
    ("bulk1.create_job", "operation", "huge", HUGE),
    ("bulk1.query", "pk_chunking", "text", "true"),
    ("bulk1.query", "pk_chunking", "huge", HUGE),
    ("bulk1.query", "sobject", "empty", ""),
    ("bulk1.perform", "compress", "text", "no"),
]
"""Calls of the client, with an argument that is no such thing."""


WRONG_ARGUMENTS: Final[list[tuple[str, str, str, Any]]] = [
    *(("ingest task", name, what, value) for name, what, value in (
        ("max_concurrent_jobs", "huge", HUGE), ("max_failed_records", "huge", HUGE), ("api_reserve", "huge", HUGE),
        ("max_record_retries", "huge", HUGE), ("poll_interval", "longer than a clock counts", timedelta.max),
        ("timeout", "longer than a clock counts", timedelta.max), ("results_path", "the text None", "None"),
        ("staging_path", "the text None", " None "), ("salesforce_conn_id", "half of a character", HALF),
    )),
    *(("query task", name, what, value) for name, what, value in (
        ("output_path", "the text None", "None"), ("output_path", "a path object named None", Path("None")),
        ("page_records", "huge", HUGE), ("max_concurrent_pages", "huge", HUGE), ("max_xcom_records", "huge", HUGE),
        ("soql", "half of a character", HALF), ("output_conn_id", "half of a character", HALF),
    )),
    *(("sensor", name, what, value) for name, what, value in (
        ("job_id", "a path", "../.."), ("max_failed_records", "huge", HUGE), ("poke_interval", "endless", timedelta.max),
    )),
    *(("window", name, what, value) for name, what, value in (
        ("field", "a condition", "Id = '' OR SystemModstamp"), ("asset", "a name", "accounts"), ("by", "a list", ["watermark"]),
        ("lag", "a century", timedelta(days=36_525)), ("initial", "without a timezone", datetime(2026, 1, 1)),
    )),
]
"""Arguments of operators, of the sensor and of windows."""


ARGUMENTS: Final[list[Line]] = [
    *((f"call: {call} with {name} as {what}", "call", (call, {name: value}), "SourceError") for call, name, what, value in WRONG_CALLS),
    ("call: ingest.upload with data as no record", "call", ("ingest.upload", {"data": []}), "EmptyInputError"),
    *((f"{way}: {name} is {what}", way, ({name: value},), "SourceError") for way, name, what, value in WRONG_ARGUMENTS),
]
