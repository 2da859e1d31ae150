"""What callers may give as records, and what they get back: the blocking client against the local org."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import BulkClient, errors
from airflow_provider_sfbulk.client.effects import Reply, Request
from airflow_provider_sfbulk.client.faces.bulk_result import BulkResult
from airflow_provider_sfbulk.client.faces.job_calls import Waiting
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg

QUICK = Schedule(first=0.02, growth=0.1, longest=0.2)
SECRET = "Okafor-4711"
NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
TEXT = f"Name,External_Key__c\n{SECRET},one\nUmbrella; Stand,two\n"


class Elsewhere:
    """A path of a storage that this machine knows nothing of."""

    suffix = ".csv"

    def __init__(self, text: str) -> None:
        self._text = text

    def open(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return io.BytesIO(self._text.encode())

    def __str__(self) -> str:
        return "s3://bucket/rows.csv"


@pytest.fixture
def org() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        yield running


@pytest.fixture
def client(org: LocalOrg) -> Iterator[BulkClient]:
    with BulkClient(host=org.url, client_id=org.client_id, client_secret=org.client_secret) as made:
        yield made


def rows() -> list[dict[str, str]]:
    return [
        {"Name": SECRET, "External_Key__c": "one"},
        {"Name": "Umbrella; Stand", "External_Key__c": "two"},
    ]


@pytest.fixture(
    params=[
        *("text", "bytes", "bytearray", "crlf", "str", "Path", "file URI", "gz", "jsonl", "parquet", "semicolon"),
        *("dicts", "generator", "frame", "table", "open file", "open text", "object storage"),
    ]
)
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    path = tmp_path / "rows.csv"
    path.write_text(TEXT)
    path.with_name("rows 1%.csv").write_text(TEXT)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "semicolon.csv").write_text("Name;External_Key__c\n" + f'{SECRET};one\n"Umbrella; Stand";two\n')
    table = pa.Table.from_pylist(rows())
    table.to_pandas().to_parquet(tmp_path / "rows.parquet")
    table.to_pandas().to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    return {
        "text": TEXT,
        "bytes": TEXT.encode(),
        "bytearray": bytearray(TEXT.encode()),
        "crlf": TEXT.replace("\n", "\r\n"),
        "str": str(path),
        "Path": path,
        "file URI": path.with_name("rows 1%.csv").as_uri(),
        "gz": tmp_path / "rows.csv.gz",
        "jsonl": tmp_path / "rows.jsonl",
        "parquet": str(tmp_path / "rows.parquet"),
        "semicolon": tmp_path / "semicolon.csv",
        "dicts": rows(),
        "generator": (row for row in rows()),
        "frame": pd.DataFrame(rows()),
        "table": table,
        "open file": io.BytesIO(TEXT.encode()),
        "open text": io.StringIO(TEXT),
        "object storage": Elsewhere(TEXT),
    }[request.param]


def stored(org: LocalOrg) -> list[dict[str, str]]:
    org.wait_until_idle()
    found = [{name: each[name] for name in ("Name", "External_Key__c")} for each in org.records("Account")]
    return sorted(found, key=lambda each: each["External_Key__c"])


@pytest.mark.parity("A3.5", "I4.1", "G9.3", "A4.7")
def test_a_load_takes_records_files_and_text(given: Any, client: BulkClient, org: LocalOrg) -> None:
    assert client.ingest.perform("Account", "insert", given, schedule=QUICK).is_successful
    assert stored(org) == rows()


@pytest.mark.parity("G16.1", "G9.2")
def test_a_load_by_1_0_takes_them_too(given: Any, client: BulkClient, org: LocalOrg) -> None:
    assert client.bulk1.perform("Account", "insert", given, schedule=QUICK).is_successful
    assert stored(org) == rows()
    assert [str(job.state) for job in org.bulk1_jobs] == ["Closed"]


@pytest.mark.parity("A4.6", "I3.9")
def test_an_upload_takes_them_too(
    given: Any, client: BulkClient, org: LocalOrg, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["given"]
    options = {"crlf": {"line_ending": "CRLF"}, "semicolon": {"column_delimiter": "SEMICOLON"}}.get(kind, {})
    job = client.ingest.create_job("Account", "insert", **options)
    client.ingest.upload(job.id, given)
    client.ingest.close(job.id)
    assert client.ingest.wait(job.id, schedule=QUICK).is_successful
    assert stored(org) == rows()


def test_a_batch_takes_them_too(given: Any, client: BulkClient, org: LocalOrg, request: pytest.FixtureRequest) -> None:
    job = client.bulk1.create_job("Account", "insert")
    client.bulk1.add_batch(job.id, given)
    client.bulk1.close(job.id)
    (batch,) = client.bulk1.wait(job.id, schedule=QUICK)
    if request.node.callspec.params["given"] == "semicolon":
        assert str(batch.state) == "Failed", "a CSV file goes out as it is"
    else:
        assert stored(org) == rows()


def test_a_batch_of_another_job_is_sent_as_it_is(client: BulkClient, org: LocalOrg, tmp_path: Path) -> None:
    client.insert("Account", rows(), schedule=QUICK)
    soql = "SELECT Name FROM Account"
    (tmp_path / "rows.soql").write_text(soql)
    for given in (soql, tmp_path / "rows.soql"):
        job = client.bulk1.create_job("Account", "query")
        assert client.bulk1.request(job.id, client.bulk1.add_batch(job.id, given).id) == soql.encode()
    xml = f'<sObjects xmlns="{NAMESPACE}"><sObject><Name>x</Name></sObject></sObjects>'
    job = client.bulk1.create_job("Account", "insert", content_type="XML")
    assert client.bulk1.request(job.id, client.bulk1.add_batch(job.id, xml).id) == xml.encode()


def test_what_is_no_batch_is_refused_before_it_is_sent(client: BulkClient, org: LocalOrg) -> None:
    query, load = client.bulk1.create_job("Account", "query"), client.bulk1.create_job("Account", "insert")
    (part,) = client.ingest.serialize("Name;Phone\nx;1\n")
    for job, data, message in (
        (load, [], "no records"),
        (load, [{"Name": "x"}] * (limits.BATCH_RECORDS + 1), "do not fit into one batch of 10,000 records"),
        (load, SECRET, r"cannot read a text of one line \(11 characters\)"),
        (load, part, "needs COMMA .* but the part has SEMICOLON"),
        (query, rows(), "is a query job with CSV"),
    ):
        org.calls.clear()
        with pytest.raises(errors.SourceError, match=message) as caught:
            client.bulk1.add_batch(job.id, data)
        assert SECRET not in str(caught.value)
        assert {call.method for call in org.calls} == {"GET"}


@pytest.mark.parametrize("kind", ["text", "file", "name", "part"])
def test_a_job_with_its_data_takes_text_files_and_parts(
    kind: str, client: BulkClient, org: LocalOrg, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(TEXT)
    (part,) = client.ingest.serialize(rows())
    data: Any = {"text": TEXT, "file": path, "name": str(path), "part": part}[kind]
    job = client.ingest.create_job_with_data("Account", "insert", data)
    assert client.ingest.wait(job.id, schedule=QUICK).is_successful
    assert stored(org) == rows()
    (other,) = client.ingest.serialize(TEXT.replace("\n", "\r\n"))
    with pytest.raises(errors.SourceError, match="expects COMMA and LF, but the records have COMMA and CRLF"):
        client.ingest.create_job_with_data("Account", "insert", other)


@pytest.mark.parity("I5.1", "A4.8", "K10.3")
def test_parts_are_encoded_as_loads_do_and_uploaded(client: BulkClient, org: LocalOrg) -> None:
    parts = list(client.ingest.serialize(rows(), part_records=1))
    assert [(part.records, part.first_row, part.data.decode().count("\n")) for part in parts] == [(1, 1, 2), (1, 2, 2)]
    for part in parts:
        job = client.ingest.create_job("Account", "insert", line_ending=part.dialect.line_ending)
        client.ingest.upload(job.id, part)
        client.ingest.close(job.id)
        assert client.ingest.wait(job.id, schedule=QUICK).is_successful
        old = client.bulk1.create_job("Account", "insert")
        client.bulk1.add_batch(old.id, part)
        assert client.bulk1.wait(old.id, schedule=QUICK)[0].processed == 1
        part.close()
    assert stored(org) == rows()
    with pytest.raises(errors.SourceError, match="no field Nmae"):
        list(client.ingest.serialize([{"Nmae": "x"}], sobject="Account"))


def test_what_a_job_does_not_take_is_refused_before_its_upload(client: BulkClient, org: LocalOrg) -> None:
    job = client.ingest.create_job("Account", "insert", column_delimiter="TAB", line_ending="CRLF")
    (part,) = client.ingest.serialize(rows())
    org.calls.clear()
    for data, message in (
        (part, "expects TAB and CRLF, but the records have COMMA and LF"),
        (rows(), "expects TAB and CRLF"),
        ([{"Nmae": SECRET}], "no field Nmae"),
        ([], "no records"),
    ):
        with pytest.raises(errors.SourceError, match=message) as caught:
            client.ingest.upload(job.id, data)
        assert SECRET not in str(caught.value)
    assert {call.method for call in org.calls} == {"GET"}


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"001A0000001, {SECRET}",
        f"{SECRET}\x00.csv",
        f"{SECRET};{SECRET}",
        "x" * 70_000 + SECRET,
        f"\x1b{SECRET}",
    ],
)
@pytest.mark.parametrize("call", ["upload", "perform", "bulk1"])
def test_a_text_that_is_no_file_is_never_shown(text: str, call: str, client: BulkClient, org: LocalOrg) -> None:
    calls = {
        "upload": lambda: client.ingest.upload("750000000000001AAA", text),
        "perform": lambda: client.ingest.perform("Account", "insert", text),
        "bulk1": lambda: client.bulk1.perform("Account", "insert", text),
    }
    with pytest.raises(errors.SourceError) as caught:
        calls[call]()
    shown = (
        str(caught.value) + repr(caught.value) + repr(caught.value.__context__ and caught.value.__suppress_context__)
    )
    assert SECRET not in shown
    assert org.calls == [], "nothing was sent"


def test_a_file_that_is_not_there_is_named(client: BulkClient, tmp_path: Path) -> None:
    for given in (tmp_path / "none.csv", str(tmp_path / "none.csv"), "none.csv"):
        with pytest.raises(errors.SourceError, match=r"cannot read .*none\.csv: No such file"):
            client.ingest.perform("Account", "insert", given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3://bucket/rows.csv", "give an object that opens a URI, such as a UPath"),
        (Path("s3://bucket/rows.csv"), "give an object that opens a URI, such as a UPath"),
        ("file://server/rows.csv", "names a host"),
        ("*.csv", "A pattern is not looked up here: name one file"),
        (".", "it is a folder. Name one of its files"),
        (" ", "an empty string"),
        (["/in/a.csv", "/in/b.csv"], "a list of 2 paths: load the files one after the other"),
        ([Path("a.csv")], "a list of 1 paths: load the files one after the other"),
    ],
)
def test_what_names_no_single_file_says_what_to_do(
    given: Any, told: str, client: BulkClient, org: LocalOrg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (client.ingest.perform, client.bulk1.perform):
        with pytest.raises(errors.SourceError, match=told):
            call("Account", "insert", given)
    assert not org.jobs


@pytest.mark.parametrize(
    "wrong",
    [
        {"part_bytes": limits.PART_BYTES + 1},
        {"part_bytes": 151_000_000},
        {"part_bytes": 0},
        {"part_bytes": 1e6},
        {"part_records": limits.RECORDS_PER_DAY + 1},
        {"part_records": 0},
        {"max_concurrent_jobs": 0},
        {"max_concurrent_jobs": "4"},
    ],
)
@pytest.mark.parity("I4.5", "I4.6")
def test_a_limit_that_cannot_be_is_refused_by_name(wrong: dict[str, Any], client: BulkClient, org: LocalOrg) -> None:
    with pytest.raises(errors.SourceError, match=f"{next(iter(wrong))} must be a whole number"):
        client.ingest.perform("Account", "insert", rows(), **wrong)
    assert org.calls == []


# --- results ---


@pytest.mark.parity("K4.1", "K4.2", "K4.3", "K4.4", "K4.5", "K4.6", "K10.2", "A2.3", "G7.10")
def test_rows_of_a_result_are_a_sequence(client: BulkClient) -> None:
    records = [{"Name": f"N{n}" if n % 3 else "", "External_Key__c": str(n)} for n in range(10)]
    result = client.ingest.perform("Account", "insert", records, schedule=QUICK)
    assert (len(result.successful_records), len(result.failed_records), len(result.errors)) == (6, 4, 4)
    assert (result.successful_count, result.failed_count) == (6, 4)
    assert {row["Name"] for row in result.successful_records} == {f"N{n}" for n in range(10) if n % 3}
    assert not result.unprocessed_records
    assert result.unprocessed_records == []
    failed = list(result.failed_records)
    assert list(result.failed_records) == failed, "each iteration reads anew"
    assert (result.failed_records[0], result.failed_records[-1]) == (failed[0], failed[-1])
    assert result.failed_records[1:4] == failed[1:4]
    assert result.failed_records[::-2] == failed[::-2]
    assert result.failed_records[7:] == []
    assert result.failed_records == failed
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            result.failed_records[wrong]
    assert result.errors[0].status_code == "REQUIRED_FIELD_MISSING"
    assert result.success_rate == 0.6
    assert "N1" not in repr(result.successful_records)
    assert result.job.id == result.job_ids[0]


def test_a_load_without_failures_has_no_errors(client: BulkClient) -> None:
    result = client.ingest.perform("Account", "insert", rows(), schedule=QUICK)
    assert not result.errors
    assert not result.failed_records
    assert result.is_successful


@pytest.mark.parity("K4.8", "K7.4")
def test_a_job_that_failed_as_a_whole_has_its_error(client: BulkClient, org: LocalOrg) -> None:
    job = client.ingest.create_job("Account", "insert")
    client.ingest.upload(job.id, b"Nmae\nx\n")
    client.ingest.close(job.id)
    client.ingest.wait(job.id, schedule=QUICK)
    org.core.faults.clear()
    result = whole(client, job.id)
    assert str(result.job.state) == "Failed"
    assert result.errors
    assert list(result.errors) == [BulkError("InvalidBatch", "Field name not found : Nmae")]
    assert result.errors[0].fields == ()


def test_an_aborted_job_has_an_error_too(client: BulkClient) -> None:
    job = client.ingest.create_job("Account", "insert")
    client.ingest.upload(job.id, b"Name\nx\n")
    client.ingest.abort(job.id)
    assert [error.status_code for error in whole(client, job.id).errors] == ["Aborted"]


def whole(client: BulkClient, job_id: str) -> BulkResult:
    filled = UploadedPart(number=0, job_id=job_id, records=1, length=7, sha256="")
    return BulkResult(client, [filled]).wait(schedule=QUICK)


@pytest.mark.parity("I4.10", "A2.1", "I2.1", "I4.11")
def test_a_result_of_several_jobs_is_iterated_over_job_by_job(client: BulkClient) -> None:
    records = [{"Name": f"N{n}"} for n in range(25)]
    result = client.ingest.perform("Account", "insert", records, part_records=10, schedule=QUICK)
    assert [one.successful_count for one in result] == [10, 10, 5]
    assert [one.job.id for one in result] == result.job_ids
    with pytest.raises(errors.SourceError, match="3 jobs"):
        _ = result.job
    by_bytes = client.ingest.perform(
        "Account", "insert", records, part_bytes=len("Name\n" + "N1\n" * 10), schedule=QUICK
    )
    assert [one.successful_count for one in by_bytes][:2] == [10, 7]
    later = client.ingest.perform("Account", "insert", records, part_records=10, schedule=QUICK, wait=False)
    assert sorted(one.successful_count for one in later) == [5, 10, 10]


@pytest.mark.parity("I4.10")
def test_a_job_that_is_done_is_given_while_another_runs(client: BulkClient, org: LocalOrg) -> None:
    done = client.insert("Account", rows()[:1], schedule=QUICK)
    org.core.job_seconds = 3600
    running = client.insert("Account", rows()[1:], wait=False)
    both = BulkResult(client, [*running._filled, *done._filled], Waiting(timeout=5, schedule=QUICK))
    found = iter(both)
    assert next(found).job_ids == done.job_ids
    assert not client.ingest.get_job(running.job_ids[0]).is_final
    org.advance(3600)
    assert next(found).job_ids == running.job_ids
    assert next(found, None) is None


@pytest.mark.parity("K5.1", "K5.2", "K5.3", "K5.4")
def test_rows_of_a_query_are_a_sequence(client: BulkClient) -> None:
    client.insert("Account", rows(), schedule=QUICK)
    result = client.query.perform("SELECT Name, External_Key__c FROM Account ORDER BY External_Key__c", schedule=QUICK)
    assert (len(result.records), result.records[0], result.records[-1]) == (2, rows()[0], rows()[1])
    assert result.locator is None
    old = client.bulk1.query("SELECT Name, External_Key__c FROM Account ORDER BY External_Key__c", schedule=QUICK)
    assert (old.record_count, old.records[1], old.locator) == (2, rows()[1], None)


def test_results_of_1_0_are_a_sequence(client: BulkClient) -> None:
    records = [*rows(), {"Name": "", "External_Key__c": "three"}]
    result = client.bulk1.perform("Account", "insert", records, schedule=QUICK)
    assert [each.success for each in result.results] == [True, True, False]
    assert result.success_rate == pytest.approx(2 / 3)
    assert (result.results[2].success, len(result.errors), result.errors[0].status_code) == (
        *(False, 1),
        "REQUIRED_FIELD_MISSING",
    )


@pytest.mark.parity("K2.1", "K2.2", "K2.3", "K2.4", "K2.5", "A3.1", "A3.2", "A3.3", "A3.4", "A3.6")
def test_whole_loads_by_their_operation(client: BulkClient, org: LocalOrg) -> None:
    org.core.hard_delete = True
    ids = [row["sf__Id"] for row in client.insert("Account", rows(), schedule=QUICK).successful_records]
    assert client.update("Account", [{"Id": ids[0], "Name": "New"}], schedule=QUICK).is_successful
    assert client.upsert("Account", rows(), "External_Key__c", schedule=QUICK).is_successful
    assert client.delete("Account", ids[:1], schedule=QUICK).is_successful
    assert client.hard_delete("Account", ids[1:], schedule=QUICK).is_successful
    assert [record["Id"] for record in org.records("Account", include_deleted=True)] == ids[:1], "the other one is gone"
    assert org.records("Account") == []


@pytest.mark.parity("K4.7", "A2.4")
def test_what_was_never_tried_counts_and_has_its_payload_only(client: BulkClient) -> None:
    job = client.ingest.create_job("Account", "insert")
    client.ingest.upload(job.id, b"Name\nx\n")
    client.ingest.abort(job.id)
    result = whole(client, job.id)
    assert (result.total_count, result.unprocessed_count, result.success_rate) == (1, 1, 0.0)
    assert result.unprocessed_records == [{"Name": "x"}]


@pytest.mark.parity("A3.5", "I3.4", "I4.8", "K2.7", "A1.5", "G9.4", "G13.16")
def test_an_assignment_rule_goes_with_the_one_object_and_operation_of_a_load(client: BulkClient, org: LocalOrg) -> None:
    rule, leads = "01Q8d000000AbCdEAK", [{"LastName": "Doe", "Company": "Acme"}]
    result = client.insert("Lead", leads, assignment_rule_id=rule, schedule=QUICK)
    assert isinstance(result, BulkResult)
    (job,) = org.jobs
    assert (job.object, job.operation, job.assignment_rule_id) == ("Lead", "insert", rule)
    client.bulk1.perform("Lead", "insert", leads, assignment_rule_id=rule, schedule=QUICK)
    (old,) = org.bulk1_jobs
    assert (old.object, str(old.operation), old.assignment_rule_id) == ("Lead", "insert", rule)


@pytest.mark.parity("G7.4", "A2.2", "G7.1", "G7.5")
def test_created_is_false_of_what_was_there(client: BulkClient) -> None:
    client.insert("Account", rows()[:1], schedule=QUICK)
    by_key = {"external_id_field": "External_Key__c", "schedule": QUICK}
    assert [each.created for each in client.bulk1.perform("Account", "upsert", rows(), **by_key)] == [False, True]
    saved = client.upsert("Account", rows(), "External_Key__c", schedule=QUICK).successful_records
    assert [row["sf__Created"] for row in saved] == ["false", "false"]


@pytest.mark.parity("G13.4", "G5.1")
def test_a_job_that_stayed_open_for_a_day_takes_no_batch(client: BulkClient, org: LocalOrg) -> None:
    job = client.bulk1.create_job("Account", "insert")
    client.bulk1.add_batch(job.id, rows())
    org.advance(25 * 3600)
    with pytest.raises(errors.RequestRefusedError, match="InvalidJobState"):
        client.bulk1.add_batch(job.id, rows())
    assert len(client.bulk1.wait(job.id, schedule=QUICK)) == 1


@pytest.mark.parity("G11.3")
def test_a_parent_of_several_kinds_is_named_by_its_type_in_xml(client: BulkClient, org: LocalOrg) -> None:
    client.insert("Account", rows()[:1], schedule=QUICK)
    org.add_object(
        name="Note__c",
        fields=[
            {
                "name": "About__c",
                "type": "reference",
                "referenceTo": ["Account", "Contact"],
                "relationshipName": "About__r",
            }
        ],
    )
    job = client.bulk1.create_job("Note__c", "insert", content_type="XML")
    client.bulk1.add_batch(job.id, [{"About__r": {"type": "Account", "External_Key__c": "one"}}])
    client.bulk1.add_batch(job.id, [{"About__r": {"External_Key__c": "one"}}])
    client.bulk1.close(job.id)
    named, unnamed = client.bulk1.wait(job.id, schedule=QUICK)
    assert [each.success for each in client.bulk1.results(job.id, named.id)] == [True]
    assert str(unnamed.state) == "Failed" or not client.bulk1.results(job.id, unnamed.id)[0].success


@pytest.mark.parity("G10.1", "G10.2", "G10.3")
@pytest.mark.parametrize("api", ["1.0", "2.0"])
@pytest.mark.parametrize("as_file", [False, True])
def test_dates_as_the_guide_writes_them_pass_through(
    api: str, as_file: bool, client: BulkClient, org: LocalOrg, tmp_path: Path
) -> None:
    org.add_object(name="Event__c", fields=[{"name": "Day__c", "type": "date"}, {"name": "At__c", "type": "datetime"}])
    written = [
        ("1940-06-07Z", "2002-10-10T12:00:00+05:00"),
        ("2002-10-10+0500", "2002-10-10T00:00:00+0500"),
        ("2002-10-10-05:00", "2002-10-10T07:00:00.000Z"),
        ("2002-10-10", "2002-10-10T07:00:00Z"),
    ]
    records: Any = [{"Day__c": day, "At__c": at} for day, at in written]
    if as_file:
        records = tmp_path / "events.csv"
        records.write_text("Day__c,At__c\n" + "".join(f"{day},{at}\n" for day, at in written))
    load = client.bulk1 if api == "1.0" else client.ingest
    assert load.perform("Event__c", "insert", records, schedule=QUICK).is_successful
    assert [(each["Day__c"], each["At__c"]) for each in org.records("Event__c")] == [
        ("1940-06-07", "2002-10-10T07:00:00.000Z"),
        ("2002-10-09", "2002-10-09T19:00:00.000Z"),
        ("2002-10-10", "2002-10-10T07:00:00.000Z"),
        ("2002-10-10", "2002-10-10T07:00:00.000Z"),
    ]


@pytest.mark.parity("K2.2", "K2.3", "A3.2", "A3.4")
@pytest.mark.parametrize("api", ["1.0", "2.0"])
def test_a_row_without_its_key_leaves_the_org_untouched(api: str, client: BulkClient, org: LocalOrg) -> None:
    ids = [row["sf__Id"] for row in client.insert("Account", rows(), schedule=QUICK).successful_records]
    perform = client.bulk1.perform if api == "1.0" else client.ingest.perform
    jobs = len(org.jobs)
    for operation, records, key in (
        ("update", [{"Id": ids[0], "Name": "New"}, {"Name": "New"}], {}),
        ("delete", [ids[0], None], {}),
        ("delete", [{"Id": ids[0]}, {"Id": None}], {}),
        (
            "upsert",
            [{"External_Key__c": "one", "Name": "New"}, {"Name": "New"}],
            {"external_id_field": "External_Key__c"},
        ),
    ):
        with pytest.raises(ValueError, match="row"):
            perform("Account", operation, records, **key)
    assert stored(org) == rows()
    assert [str(job.state) for job in org.jobs[jobs:]] in ([], ["Aborted"] * len(org.jobs[jobs:]))
    assert org.bulk1_jobs == []


@pytest.mark.parity("I4.2", "I4.3")
def test_columns_name_what_a_stream_has(client: BulkClient, org: LocalOrg) -> None:
    def sparse() -> Iterator[dict[str, str]]:
        for n in range(12_000):
            yield {"Name": f"N{n}", **({"Phone": "1"} if n == 11_000 else {})}

    assert client.ingest.perform("Account", "insert", sparse(), columns=["Phone", "Name"], schedule=QUICK).is_successful
    assert sum(record["Phone"] == "1" for record in org.records("Account")) == 1
    (part,) = client.ingest.serialize(sparse(), columns=["Phone", "Name"])
    assert part.data.startswith(b"Phone,Name\n,N0\n")
    part.close()


@pytest.mark.parity("G11.5")
def test_none_clears_a_field_in_xml(client: BulkClient, org: LocalOrg) -> None:
    made = client.insert("Account", [{"Name": "A", "Phone": "1", "Fax": "2"}], schedule=QUICK)
    job = client.bulk1.create_job("Account", "update", content_type="XML")
    client.bulk1.add_batch(job.id, [{"Id": made.successful_records[0]["sf__Id"], "Phone": None}])
    client.bulk1.close(job.id)
    client.bulk1.wait(job.id, schedule=QUICK)
    (record,) = org.records("Account")
    assert (record["Phone"], record["Fax"]) == (None, "2")


WAITS: dict[str, Callable[..., Any]] = {
    "load": lambda client, **options: client.insert("Account", rows(), **options),
    "result": lambda client, **options: client.insert("Account", rows(), wait=False).wait(**options),
    "job": lambda client, **options: client.ingest.wait(
        client.insert("Account", rows(), wait=False).job_ids[0], **options
    ),
    "query": lambda client, **options: client.query.perform("SELECT Id FROM Account", **options),
    "load by 1.0": lambda client, **options: client.bulk1.perform("Account", "insert", rows(), **options),
    "query by 1.0": lambda client, **options: client.bulk1.query("SELECT Id FROM Account", **options),
}


@pytest.mark.parity("K2.1", "K2.6", "K7.1", "K7.5", "I3.12", "I4.9", "G8.9")
@pytest.mark.parametrize("wait", WAITS)
def test_every_wait_has_its_schedule_its_progress_and_its_end(wait: str, client: BulkClient, org: LocalOrg) -> None:
    org.core.job_seconds = 3600
    seen: list[Any] = []
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        assert len(pauses) < 20, "the wait has no end"
        pauses.append(seconds)

    client.driver._sleep = pause
    client.driver._clock = lambda: sum(pauses)
    schedule = Schedule(first=7, growth=0, longest=7)
    with pytest.raises(TimeoutError) as caught:
        WAITS[wait](client, timeout=timedelta(seconds=40), schedule=schedule, on_progress=seen.append)
    assert isinstance(caught.value, errors.JobTimeoutError)
    assert {each.id for each in seen} == {caught.value.job_id}
    assert all(6.3 <= pause <= 7 for pause in pauses[:-1])
    assert sum(pauses) == pytest.approx(40)
    org.advance(3600)


@pytest.mark.parity("G14.2", "G16.5")
def test_batches_are_compressed_unless_that_is_switched_off(client: BulkClient) -> None:
    sent: list[Request] = []
    exchange = client.driver._exchange

    def noted(request: Request, sink: Any) -> Reply:
        sent.append(request)
        return exchange(request, sink)

    client.driver._exchange = noted  # type: ignore[method-assign]
    for options in ({}, {"compress": False}):
        client.bulk1.perform("Account", "insert", rows(), wait=False, **options)
    batches = [each.headers.get("Content-Encoding") for each in sent if each.url.endswith("/batch") and each.body]
    assert batches == ["gzip", None]


@pytest.mark.parity("G7.9", "K8.10")
def test_failed_records_are_corrected_and_sent_again(client: BulkClient, org: LocalOrg) -> None:
    wrong = [{**row, "Name": ""} for row in rows()]
    failed = client.insert("Account", wrong, schedule=QUICK).failed_records
    assert client.insert("Account", failed, schedule=QUICK).failed_count == 2, "as they are"
    corrected = [{**failed, "Name": row["Name"]} for failed, row in zip(failed, rows(), strict=True)]
    assert client.insert("Account", corrected, schedule=QUICK).is_successful
    assert stored(org) == rows()


@pytest.mark.parity("G9.5", "G9.8", "I4.3", "I5.3")
@pytest.mark.parametrize("api", ["1.0", "2.0"])
def test_what_is_absent_or_blank_is_left_and_na_clears(api: str, client: BulkClient, org: LocalOrg) -> None:
    made = client.insert("Account", [{"Name": "A", "Phone": "1", "Fax": "2", "Site": "3"}], schedule=QUICK)
    account = made.successful_records[0]["sf__Id"]
    perform = client.bulk1.perform if api == "1.0" else client.ingest.perform

    def updated(records: Any, **options: Any) -> tuple[Any, ...]:
        assert perform("Account", "update", records, schedule=QUICK, **options).is_successful
        (record,) = org.records("Account")
        return record["Phone"], record["Fax"], record["Site"]

    assert updated([{"Id": account, "Phone": None, "Fax": ""}]) == ("1", "2", "3")
    assert updated(f"Id,Phone,Fax\n{account},,#N/A\n") == ("1", None, "3")
    assert updated([{"Id": account, "Phone": None}], nulls="clear") == (None, None, "3")


@pytest.mark.parity("G4.23")
@pytest.mark.parametrize("api", ["1.0", "2.0"])
def test_a_delete_takes_the_children_along(api: str, client: BulkClient, org: LocalOrg) -> None:
    client.insert("Account", rows(), schedule=QUICK)
    children = [{"LastName": key, "Account.External_Key__c": key} for key in ("one", "two")]
    assert client.insert("Contact", children, schedule=QUICK).is_successful
    one = [record["Id"] for record in org.records("Account") if record["External_Key__c"] == "one"]
    load = client.bulk1 if api == "1.0" else client.ingest
    assert load.perform("Account", "delete", one, schedule=QUICK).is_successful
    assert [record["LastName"] for record in org.records("Contact")] == ["two"]
