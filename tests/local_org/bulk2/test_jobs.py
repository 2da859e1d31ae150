"""Jobs on their way: states, progress, aborting, order, limits, lists, snapshots, restarts."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V, Witness


def accounts(count: int, *, start: int = 0) -> str:
    return "Name,External_Key__c\n" + "".join(f"Stand {n},K-{n}\n" for n in range(start, start + count))


def closed(witness: Witness, data: str) -> str:
    job_id = witness.create()
    witness.put(job_id, data)
    witness.patch(job_id, "UploadComplete")
    return job_id


def test_a_job_takes_its_time_by_the_orgs_clock_and_its_counters_move() -> None:
    with LocalOrg(job_seconds=timedelta(minutes=5)) as org:
        witness = Witness(org)
        job_id = closed(witness, accounts(25_000))
        assert witness.info(job_id)["state"] == "UploadComplete"
        while (state := witness.info(job_id)["state"]) != "InProgress":
            assert state == "UploadComplete"
        seen = [0]
        for _ in range(3):
            org.advance(timedelta(seconds=100))
            while (info := witness.info(job_id))["numberRecordsProcessed"] in seen:
                pass
            seen.append(info["numberRecordsProcessed"])
        assert seen[1] in (5_000, 10_000)
        assert seen[2] in (15_000, 20_000)
        assert seen[3] == 25_000
        assert witness.wait(job_id)["totalProcessingTime"] >= 300_000


@pytest.mark.parametrize("given", ["5", "5m", -1, float("nan"), True, None, timedelta(seconds=-1)])
def test_what_is_no_length_of_time_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="job_seconds must be a number from 0, or a timedelta"):
        LocalOrg(job_seconds=given)


def test_a_job_that_is_aborted_midway_keeps_what_is_saved_and_gives_back_the_rest() -> None:
    with LocalOrg(job_seconds=300) as org:
        witness = Witness(org)
        job_id = closed(witness, accounts(25_000))
        while witness.info(job_id)["state"] != "InProgress":
            pass
        org.advance(100)
        while not witness.info(job_id)["numberRecordsProcessed"]:
            pass
        assert witness.patch(job_id, "Aborted").json["state"] == "Aborted"
        info = witness.info(job_id)
        good = witness.results(info, "successfulResults").rows
        rest = witness.results(info, "unprocessedrecords")
        assert info["state"] == "Aborted"
        assert len(good) == info["numberRecordsProcessed"] == len(org.records("Account"))
        assert 0 < len(good) < 25_000
        keys = [row["External_Key__c"] for row in good + rest.rows]
        assert sorted(keys) == sorted(f"K-{n}" for n in range(25_000))
        assert rest.text.startswith("Name,External_Key__c\nStand ")
        org.advance(10_000)
        org.wait_until_idle()
        assert len(org.records("Account")) == len(good)


def test_results_are_not_in_the_order_of_the_upload_but_always_in_the_same(witness: Witness) -> None:
    info = witness.load(accounts(20_500))
    keys = [row["External_Key__c"] for row in witness.results(info, "successfulResults").rows]
    assert sorted(keys) == sorted(f"K-{n}" for n in range(20_500))
    assert keys != [f"K-{n}" for n in range(20_500)]


def test_a_job_that_nobody_polls_is_done_all_the_same(org: LocalOrg, witness: Witness) -> None:
    job_id = closed(witness, accounts(3))
    org.wait_until_idle()
    assert len(org.records("Account")) == 3
    assert [job.state for job in org.jobs] == ["JobComplete"]
    assert len(witness.results({"id": job_id}, "successfulResults").rows) == 3


def test_results_are_refused_while_the_job_is_seen_running(witness: Witness) -> None:
    job_id = closed(witness, accounts(1))
    witness.info(job_id)
    assert witness.results({"id": job_id}, "successfulResults").error[:2] == (400, "INVALIDJOBSTATE")
    witness.wait(job_id)
    assert witness.results({"id": job_id}, "successfulResults").status == 200


def test_a_finished_job_is_neither_aborted_nor_closed(witness: Witness) -> None:
    info = witness.load(accounts(1))
    error = (400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
    assert witness.patch(info["id"], "Aborted").error == error
    assert witness.patch(info["id"], "UploadComplete").error[:2] == (400, "INVALIDJOBSTATE")
    query = witness.query("SELECT Id FROM Account")
    assert witness.patch(query["id"], "Aborted", "query").error == error


def test_an_open_job_can_be_aborted_and_gives_back_its_rows(witness: Witness) -> None:
    job_id = witness.create()
    witness.put(job_id, "Name\nA\nB\n")
    assert witness.patch(job_id, "Aborted").json["state"] == "Aborted"
    assert witness.results({"id": job_id}, "unprocessedrecords").text == "Name\nA\nB\n"
    assert witness.results({"id": job_id}, "failedResults").text == '"sf__Id","sf__Error",Name\n'
    assert witness.put(job_id, "Name\nC\n").error[:2] == (400, "INVALIDJOBSTATE")
    assert witness.patch(job_id, "UploadComplete").error == (
        400,
        "INVALIDJOBSTATE",
        "Closing already aborted Job not allowed",
    )


def test_closing_twice_is_refused(witness: Witness) -> None:
    job_id = closed(witness, accounts(1))
    error = (400, "INVALIDJOBSTATE", "Closing already closed Job not allowed")
    assert witness.patch(job_id, "UploadComplete").error == error


def test_an_upload_of_nothing_completes_with_nothing(witness: Witness) -> None:
    info = witness.load("")
    assert (info["state"], info["numberRecordsProcessed"]) == ("JobComplete", 0)
    unused = witness.create()
    assert witness.patch(unused, "UploadComplete").status == 200
    assert witness.wait(unused)["state"] == "JobComplete"


def test_an_upload_over_the_limit_is_refused(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPLOAD_BASE64_BYTES", 400)
    job_id = witness.create()
    assert witness.put(job_id, "x" * 301).error[:2] == (400, "API_ERROR")
    assert witness.put(job_id, "Name\n" + "x" * 200).status == 201
    assert witness.patch(job_id, "UploadComplete").status == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            {"object": "Contakt", "operation": "insert"},
            (400, "INVALIDJOB", "InvalidJob : Unable to find object: Contakt"),
        ),
        (
            {"object": "Contact", "operation": "upsert", "externalIdFieldName": "Foo__c"},
            (400, "INVALIDJOB", "InvalidJob : Field name provided, Foo__c does not match an External ID for Contact"),
        ),
        (
            {"object": "Contact", "operation": "upsert", "externalIdFieldName": "Phone"},
            (400, "INVALIDJOB", "InvalidJob : Field name provided, Phone does not match an External ID for Contact"),
        ),
        (
            {"object": "Contact", "operation": ""},
            (400, "API_ERROR", "Invalid value: '' supplied for property: 'operation'"),
        ),
        (
            {"object": "Contact", "operation": "Insert"},
            (400, "API_ERROR", "Invalid value: 'Insert' supplied for property: 'operation'"),
        ),
        (
            {"object": "Contact", "operation": "insert", "columnDelimiter": ","},
            (400, "API_ERROR", "Invalid value: ',' supplied for property: 'columnDelimiter'"),
        ),
        (
            {"object": "Contact", "operation": "insert", "x": 1},
            (400, "JSON_PARSER_ERROR", 'Unrecognized field "x" at [line:1, column:52]'),
        ),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(
    witness: Witness, body: dict[str, object], error: tuple[int, str, str]
) -> None:
    assert witness.call("POST", f"{V}/jobs/ingest", body).error == error


def test_other_content_types_are_refused(witness: Witness) -> None:
    answer = witness.call("POST", f"{V}/jobs/ingest", "{}", content_type="text/plain")
    assert answer.error[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")
    job_id = witness.create()
    path = f"{V}/jobs/ingest/{job_id}/batches"
    assert witness.call("PUT", path, "Name\nA\n", content_type="application/json").status == 415
    packed = witness.call("PUT", path, b"\x1f\x8b", content_type="text/csv", content_encoding="gzip")
    assert packed.status == 415
    assert "numberRecordsProcessed" not in witness.info(job_id)


@pytest.mark.parametrize(
    "body",
    [
        b'--b0und\nContent-Disposition: form-data; name="job"\n\n{}\n--b0und--\n',
        b"--b0und\r\n\r\n\r\n--b0und--\r\n",
        b"--other\r\n",
        b'--b0und\r\nContent-Disposition: form-data; name="job"\r\n\r\n\xff\r\n--b0und--\r\n',
        b"",
    ],
)
def test_a_malformed_multipart_body_is_refused(witness: Witness, body: bytes) -> None:
    answer = witness.call("POST", f"{V}/jobs/ingest", body, content_type="multipart/form-data; boundary=b0und")
    assert answer.status == 400, answer.text
    assert answer.error[1] in ("INVALIDJOB", "JSON_PARSER_ERROR")


def test_a_multipart_request_makes_a_closed_job(witness: Witness) -> None:
    parts = (
        '--b0und\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name="job"\r\n\r\n'
        '{"object":"Lead","operation":"insert","contentType":"CSV","lineEnding":"LF"}\r\n'
        '--b0und\r\nContent-Type: text/csv\r\nContent-Disposition: form-data; name="content"; '
        'filename="content"\r\n\r\n'
        "Company,LastName\nUmbrella Stand Co,Okafor\n\r\n--b0und--\r\n"
    )
    kind = "multipart/form-data; boundary=b0und"
    created = witness.call("POST", f"{V}/jobs/ingest", parts, content_type=kind).json
    assert created["state"] == "UploadComplete"
    assert "contentUrl" not in created
    assert created["lineEnding"] == "LF"
    witness.wait(created["id"])
    assert [record["Company"] for record in witness.org.records("Lead")] == ["Umbrella Stand Co"]
    too_long = parts.replace("Okafor", "x" * 100_001)
    assert witness.call("POST", f"{V}/jobs/ingest", too_long, content_type=kind).error[:2] == (400, "INVALIDJOB")


@pytest.mark.parametrize("delimiter", ["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"])
def test_results_and_queries_use_the_jobs_delimiter_and_line_ending(witness: Witness, delimiter: str) -> None:
    mark = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}[delimiter]
    options = {"columnDelimiter": delimiter, "lineEnding": "CRLF"}
    info = witness.load(f'Name{mark}Phone\r\n"A {mark} ""B"""{mark}1\r\n', **options)
    text = witness.results(info, "successfulResults").text
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    assert text.count("\r\n") == text.count("\n") == 2
    assert rows[0] == ["sf__Id", "sf__Created", "Name", "Phone"]
    assert rows[1][1:] == ["true", f'A {mark} "B"', "1"]
    job_id = witness.query("SELECT Name, Phone FROM Account", **options)["id"]
    page = witness.call("GET", f"{V}/jobs/query/{job_id}/results").text
    assert page == f'"Name"{mark}"Phone"\r\n"A {mark} ""B"""{mark}"1"\r\n'


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        ("Name\r\nA\r\n", "LF"),
        ('Name,Phone\nA,"1\r\n2"\n', "LF"),
        ("Name\nA\n", "CRLF"),
        ('Name\r\n"A\nB"\r\n', "CRLF"),
    ],
)
def test_another_line_ending_fails_the_job(witness: Witness, data: str, ending: str) -> None:
    info = witness.load(data, lineEnding=ending)
    assert info["state"] == "Failed"
    assert info["errorMessage"] == (
        f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {ending}"
    )


def test_rows_that_are_short_long_or_have_a_blank_beside_a_quote_fail_alone(witness: Witness) -> None:
    errors = witness.errors('Name,Phone\nShort\nLong,1,2\nBlank, "1"\nGood,1\n\nLast,2')
    assert len(errors) == 3
    assert [record["Name"] for record in witness.org.records("Account")] == ["Good", "Last"]


def test_an_unescaped_quote_anywhere_fails_the_job_before_any_row(witness: Witness) -> None:
    info = witness.load(accounts(10_001) + 'a"b,c\n')
    assert info["errorMessage"] == "InvalidBatch : Failed to parse CSV. Found unescaped quote"
    assert witness.org.records("Account") == []
    assert len(witness.results(info, "unprocessedrecords").text.splitlines()) == 10_003


def test_a_query_shows_what_was_there_when_it_ran(witness: Witness) -> None:
    witness.load(accounts(3))
    job_id = witness.query("SELECT Name FROM Account ORDER BY Name")["id"]
    witness.load(accounts(3, start=3))
    page = witness.call("GET", f"{V}/jobs/query/{job_id}/results")
    assert [row["Name"] for row in page.rows] == ["Stand 0", "Stand 1", "Stand 2"]


def test_result_pages_cover_every_row_once(org: LocalOrg, witness: Witness) -> None:
    org.core.page_records = 3
    witness.load(accounts(20))
    job_id = witness.query("SELECT External_Key__c FROM Account")["id"]
    assert witness.info(job_id, "query")["isPkChunkingSupported"] is True
    url, urls, answers = f"{V}/jobs/query/{job_id}/resultPages", [], 0
    while url:
        answer = witness.call("GET", url).json
        assert list(answer) == ["resultPages", "nextRecordsUrl", "done"]
        assert len(answer["resultPages"]) <= 5
        urls += [page["resultUrl"] for page in answer["resultPages"]]
        answers += 1
        url = answer["nextRecordsUrl"]
    assert answers == 2
    org.core.page_records = 1000
    pages = [witness.call("GET", url) for url in reversed(urls)]
    assert [page.headers["Sforce-Locator"] == "null" for page in pages] == [True] + [False] * 6
    keys = sorted(row["External_Key__c"] for page in pages for row in page.rows)
    assert keys == sorted(f"K-{n}" for n in range(20))


def test_results_are_read_with_the_version_of_their_job(witness: Witness) -> None:
    job_id = witness.query("SELECT Id FROM Account")["id"]
    for path in ("results", "resultPages"):
        assert witness.call("GET", f"/services/data/v65.0/jobs/query/{job_id}/{path}").status == 409
    assert witness.call("GET", f"/services/data/v57.0/jobs/query/{job_id}/resultPages").status == 404


@pytest.mark.parametrize(
    "query", ["maxRecords=0", "maxRecords=many", "maxRecords=-1", "locator=%21%21", "locator=OTk5"]
)
def test_nonsense_about_pages_is_refused(witness: Witness, query: str) -> None:
    job_id = witness.query("SELECT Id FROM Account")["id"]
    assert witness.call("GET", f"{V}/jobs/query/{job_id}/results?{query}").status == 400


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT BillingAddress FROM Account", "API_ERROR"),
        ("", "MALFORMED_QUERY"),
    ],
)
def test_a_query_that_cannot_run_is_refused_at_once(witness: Witness, soql: str, code: str) -> None:
    answer = witness.call("POST", f"{V}/jobs/query", {"operation": "query", "query": soql})
    assert answer.error[:2] == (400, code)


def test_lists_keep_the_kinds_apart_and_filter(witness: Witness) -> None:
    ingest = witness.load(accounts(1))["id"]
    chunked = witness.query("SELECT Id FROM Account")["id"]
    limited = witness.query("SELECT Id FROM Account LIMIT 1")["id"]

    def listed(path: str) -> list[str]:
        return [record["id"] for record in witness.call("GET", f"{V}/jobs/{path}").json["records"]]

    assert listed("ingest") == [ingest]
    assert listed("query") == [chunked, limited]
    assert listed("query?isPkChunkingEnabled=true") == [chunked]
    assert listed("query?jobType=V2Ingest") == [ingest]
    assert listed("ingest?jobType=Classic") == []
    assert witness.call("GET", f"{V}/jobs/ingest?jobType=Other").status == 400
    (row,) = witness.call("GET", f"{V}/jobs/ingest").json["records"]
    assert list(row)[-3:] == ["jobType", "lineEnding", "columnDelimiter"]


def test_jobs_are_kept_seven_days_and_stay_open_for_one(org: LocalOrg, witness: Witness) -> None:
    done = witness.load(accounts(1))["id"]
    left_open = witness.create()
    org.advance(25 * 3600)
    witness.token = None
    assert witness.info(left_open)["state"] == "Aborted"
    org.advance(6 * 24 * 3600)
    witness.token = None
    assert witness.call("GET", f"{V}/jobs/ingest/{done}").status == 404


def test_the_days_batches_end_a_job(org: LocalOrg, witness: Witness) -> None:
    org.core.usage.batches.maximum = 1
    info = witness.load(accounts(10_001))
    assert (info["state"], info["errorMessage"]) == ("Failed", "ExceededQuota : ApiBatchItems Limit exceeded")
    good, rest = (len(witness.results(info, name).rows) for name in ("successfulResults", "unprocessedrecords"))
    assert (good + rest, good) == (10_001, info["numberRecordsProcessed"])


def test_everything_outlives_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "org.sqlite"
    with LocalOrg(data=data, job_seconds=300) as org:
        witness = Witness(org)
        key, credentials = org.private_key, org.client_secret
        job_id = closed(witness, accounts(25_000))
        while witness.info(job_id)["state"] != "InProgress":
            pass
        org.advance(100)
        while not witness.info(job_id)["numberRecordsProcessed"]:
            pass
        token = witness.token
    # What a process that was killed in the middle of writing leaves behind.
    left_behind = next((tmp_path / "org.sqlite.jobs" / job_id).glob("successful.csv"))
    with left_behind.open("ab") as file:
        file.write(b'"half a r')
    with LocalOrg(data=data) as org:
        witness = Witness(org)
        witness.token = token
        assert (org.private_key, org.client_secret) == (key, credentials)
        info = witness.wait(job_id)
        assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (
            "JobComplete",
            25_000,
            0,
        )
        rows = witness.results(info, "successfulResults").rows
        assert {row["External_Key__c"] for row in rows} == {f"K-{n}" for n in range(25_000)}
        assert len(rows) == len(org.records("Account")) == 25_000
    with LocalOrg(data=data) as org:
        assert Witness(org).info(job_id)["state"] == "JobComplete"


def test_jobs_of_an_object_that_is_gone_after_a_restart_fail(tmp_path: Path) -> None:
    with LocalOrg(data=tmp_path / "org.sqlite", batch_records=1) as org:
        org.add_object(name="Stand__c", fields=[{"name": "Text__c", "type": "string"}])
        witness = Witness(org)
        jobs = []
        for batches in (0, 1):
            org.stick_jobs(after_batches=batches)
            jobs.append(witness.create(sobject="Stand__c"))
            witness.put(jobs[-1], "Text__c\na\nb\n")
            witness.patch(jobs[-1], "UploadComplete")
            org.wait_until_idle()
        org.stick_jobs()
        soql = {"operation": "query", "query": "SELECT Id FROM Stand__c"}
        query = witness.call("POST", f"{V}/jobs/query", soql).json["id"]
        org.wait_until_idle()
    with LocalOrg(data=tmp_path / "org.sqlite") as org:
        witness = Witness(org)
        for job_id, left in zip(jobs, (2, 1), strict=True):
            info = witness.wait(job_id)
            assert (info["state"], info["errorMessage"]) == ("Failed", "InvalidJob : Unable to find object: Stand__c")
            assert info["numberRecordsProcessed"] == 2 - left
            rest = witness.call("GET", f"{V}/jobs/ingest/{job_id}/unprocessedrecords").text
            assert len(rest.splitlines()) == 1 + left
        info = witness.wait(query, "query")
        assert info["state"] == "Failed"
        assert info["errorMessage"].startswith("INVALID_TYPE : ")


def test_polls_are_answered_while_a_job_is_worked_on(org: LocalOrg, witness: Witness) -> None:
    job_id = closed(witness, accounts(60_000))
    answered = 0
    while witness.org.jobs[0].state != "JobComplete":
        assert witness.info(job_id)["id"] == job_id
        answered += 1
    assert answered >= 5
