"""The command ``sfbulk``: what is printed where, exit status, files; against the local org, in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.results.folder import LocalFile
from airflow_provider_sfbulk.command.__main__ import app
from airflow_provider_sfbulk.command.left import abort_jobs, left_jobs
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import JobKind, State

Run = Callable[..., Result]

ACCOUNTS = "Name,External_Key__c\nUmbrella Stand Co,A-1\nParasol Works,A-2\n"


@pytest.fixture
def run(salesforce_org: LocalOrg) -> Run:
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments], prog_name="sfbulk")


def known(result: Result) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(result.stdout)
    return read


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    file = tmp_path / "accounts.csv"
    file.write_text(ACCOUNTS, encoding="utf-8")
    return file


def test_it_loads_a_file_and_says_what_became_of_it(run: Run, accounts: Path, salesforce_org: LocalOrg) -> None:
    result = run("load", "Account", accounts, "--operation", "upsert", "--external-id", "External_Key__c")
    assert result.exit_code == 0, result.output
    assert "successful           2" in result.stdout
    assert {each["Name"] for each in salesforce_org.records("Account")} == {"Umbrella Stand Co", "Parasol Works"}


def test_its_files_may_be_named_by_uris_and_their_format_beside(
    run: Run, tmp_path: Path, salesforce_org: LocalOrg
) -> None:
    folder = tmp_path / "a 1%"
    folder.mkdir()
    (folder / "in.txt").write_text(ACCOUNTS, encoding="utf-8")
    (folder / "q.soql").write_text("SELECT Name FROM Account", encoding="utf-8")
    result = run("load", "Account", (folder / "in.txt").as_uri(), "--source-format", "csv")
    assert result.exit_code == 0, result.output
    salesforce_org.wait_until_idle()
    result = run("extract", f"@{(folder / 'q.soql').as_uri()}", "-o", (folder / "out.csv").as_uri())
    assert result.exit_code == 0, result.output
    assert len((folder / "out.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_failed_rows_are_written_and_end_with_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("LastName,Mail\nDoe,a@b.example\n,c@d.example\n", encoding="utf-8")
    failed = tmp_path / "failed.csv"
    result = run("--json", "load", "Contact", tmp_path / "in.csv", "--map", "Mail=Email", "--failed", failed)
    assert result.exit_code == 1
    assert known(result)["errors"] == {"REQUIRED_FIELD_MISSING": 1}
    assert "c@d.example" in failed.read_text(encoding="utf-8")


def test_a_load_that_is_not_waited_for_gives_its_jobs(run: Run, accounts: Path) -> None:
    (job_id,) = known(run("--json", "load", "Account", accounts, "--no-wait"))["job_ids"]
    assert known(run("--json", "jobs", job_id))["id"] == job_id
    assert job_id in run("jobs").stdout


def open_job(org: LocalOrg, *, hours: float, user_id: str | None = None, state: State = State.OPEN) -> str:
    """Make a load that was created so long ago."""
    entry = org.core.jobs.add(
        kind=JobKind.INGEST,
        operation="insert",
        object="Account",
        created_by_id=user_id or org.user_id,
        state=state,
        api_version="66.0",
    )
    entry.job.created -= timedelta(hours=hours)
    return entry.job.id


def state_of(run: Run, job_id: str) -> str:
    return str(known(run("--json", "jobs", job_id))["state"])


def test_loads_that_were_never_closed_are_aborted_if_they_are_old_and_this_users(
    run: Run, salesforce_org: LocalOrg
) -> None:
    older, old = open_job(salesforce_org, hours=20), open_job(salesforce_org, hours=13)
    others = [
        open_job(salesforce_org, hours=11),
        open_job(salesforce_org, hours=13, user_id="005000000000123AAA"),
        open_job(salesforce_org, hours=13, state=State.IN_PROGRESS),
    ]
    result = run("--json", "jobs", "--abort-left", "--yes")
    *shown, done = [json.loads(line) for line in result.stdout.splitlines()]
    assert ([each["id"] for each in shown], done) == ([older, old], {"aborted": 2, "job_ids": [older, old]})
    assert [state_of(run, job_id) for job_id in (older, old)] == ["Aborted", "Aborted"]
    assert [state_of(run, job_id) for job_id in others] == ["Open", "Open", "InProgress"]
    assert run("jobs", "--abort-left", "--older-than", "10", "--yes").exit_code == 0
    assert [state_of(run, job_id) for job_id in others] == ["Aborted", "Open", "InProgress"]


@pytest.mark.parametrize(("answer", "state"), [("n", "Open"), ("", "Open"), ("y", "Aborted")])
def test_it_asks_before_it_aborts_what_is_left(answer: str, state: str, run: Run, salesforce_org: LocalOrg) -> None:
    job_id = open_job(salesforce_org, hours=13)
    result = CliRunner().invoke(app, ["jobs", "--abort-left"], input=answer, prog_name="sfbulk")
    assert job_id in result.stdout
    assert "Abort 1 job(s)?" in result.stderr
    assert state_of(run, job_id) == state


def test_a_job_that_is_closed_meanwhile_is_not_aborted(salesforce_org: LocalOrg) -> None:
    open_job(salesforce_org, hours=13)
    with BulkClient.from_env() as client:
        found = left_jobs(client, timedelta(hours=12))
        next(iter(salesforce_org.core.jobs)).job.state = State.IN_PROGRESS
        assert list(abort_jobs(client, found)) == []
        assert client.ingest.get_job(found[0].id).state == "InProgress"


@pytest.mark.parametrize("said", [{}, {"user_id": ""}, {"user_id": None}, {"user_id": "005"}])
def test_when_the_org_does_not_say_who_is_signed_in_no_job_is_this_users(
    said: dict[str, Any], salesforce_org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_job(salesforce_org, hours=13)
    with BulkClient.from_env() as client:
        monkeypatch.setattr(client, "user_info", lambda: said)
        with pytest.raises(ProtocolError, match="user id"):
            left_jobs(client, timedelta(hours=12))


@pytest.mark.parametrize("arguments", [("750R00000012345AAA",), ("--query",), ("--abort",)])
def test_what_is_left_is_not_named_by_hand(arguments: tuple[str, ...], run: Run) -> None:
    result = run("jobs", "--abort-left", *arguments)
    assert (result.exit_code, "leave out the job id" in result.stderr) == (2, True)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_it_extracts_into_a_file(ending: str, run: Run, accounts: Path, tmp_path: Path) -> None:
    run("load", "Account", accounts)
    output = tmp_path / f"out.{ending}"
    result = run("--json", "extract", "SELECT Name FROM Account ORDER BY Name", "-o", output)
    assert (result.exit_code, known(result)["records"]) == (0, 2)
    assert _names_in(output) == ["Parasol Works", "Umbrella Stand Co"]
    assert {each.name for each in tmp_path.iterdir()} == {"accounts.csv", output.name}


def _names_in(path: Path) -> list[Any]:
    if path.suffix == ".parquet":
        names: list[Any] = pq.read_table(path)["Name"].to_pylist()
        return names
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["Name"] for line in lines] if path.suffix == ".jsonl" else lines[1:]


def test_rows_go_to_the_terminal_without_a_file(run: Run, accounts: Path) -> None:
    run("load", "Account", accounts)
    lines = run("extract", "SELECT Name FROM Account ORDER BY Name").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"Name": "Parasol Works"}, {"Name": "Umbrella Stand Co"}]


def test_it_describes_an_object(run: Run) -> None:
    fields = [json.loads(line) for line in run("--json", "describe", "Account").stdout.splitlines()]
    assert {"name": "External_Key__c", "externalId": True}.items() <= next(
        each for each in fields if each["name"] == "External_Key__c"
    ).items()
    assert "External_Key__c" in run("describe", "Account").stdout


def test_it_tests_the_login(run: Run, salesforce_org: LocalOrg) -> None:
    assert known(run("--json", "login-test"))["instance_url"] == salesforce_org.url


def test_it_signs_in_with_a_connection_of_airflow(run: Run, salesforce_org: LocalOrg) -> None:
    assert salesforce_org.url in run("--conn-id", "salesforce_bulk_default", "login-test").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("describe", "Nonsense__c"), 2, "NotFoundError"),
        (("extract", "SELECT Nmae FROM Account"), 2, "RequestRefusedError"),
        (("load", "Account", "gone.csv"), 2, "SourceError"),
        (("extract", "SELECT Name FROM Account", "-o", "out.xlsx"), 2, "set --format"),
        (("explain", "nonsense"), 2, "is not an error code or class"),
    ],
)
def test_what_is_wrong_is_said_on_stderr_with_a_status(
    arguments: tuple[str, ...], status: int, said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert said in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("login-test", "--json", "--conn-id", "salesforce_bulk_default"),
        ("login-test", "--conn-id=salesforce_bulk_default", "--json"),
    ],
)
def test_what_all_commands_take_may_stand_behind_the_command(
    arguments: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SFBULK_CLIENT_ID")
    assert known(run(*arguments))["user"]


def test_who_has_nothing_to_sign_in_with_hears_of_connections(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("SFBULK_")]:
        monkeypatch.delenv(name)
    result = run("login-test")
    assert result.exit_code == 3
    assert "sfbulk --conn-id" in result.stderr


def test_a_refused_login_ends_with_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFBULK_CLIENT_SECRET", "wrong")
    result = run("--json", "login-test")
    assert (result.exit_code, json.loads(result.stderr)["error"]) == (3, "LoginError")


def test_the_end_of_its_time_ends_with_4_and_names_the_job(run: Run, accounts: Path, salesforce_org: LocalOrg) -> None:
    salesforce_org.stick_jobs()
    result = run("load", "Account", accounts, "--timeout", "0")
    assert (result.exit_code, "JobTimeoutError" in result.stderr) == (4, True)


def test_codes_and_classes_are_explained(run: Run) -> None:
    assert "try later" in run("explain", "unable_to_lock_row").stdout
    assert (
        "fix the login" in run("explain", "LoginError").stdout
        or "refused the login" in run("explain", "LoginError").stdout
    )


def test_a_check_says_what_is_wrong_and_loads_nothing(run: Run, tmp_path: Path, salesforce_org: LocalOrg) -> None:
    file = tmp_path / "in.csv"
    file.write_text("LastName,Email\nDoe,a@b.example\n,no address\n", encoding="utf-8")
    result = run("load", "Contact", file, "--check")
    assert result.exit_code == 1
    assert "2 rows in 1 part(s)" in result.stdout
    assert "REQUIRED_FIELD_MISSING  LastName: required, and without a value (1 row: 2)" in result.stdout
    assert "no address" not in result.output
    found = known(run("--json", "load", "Contact", file, "--check"))
    assert (found["errors"], found["load_api_calls"]) == ({"INVALID_EMAIL_ADDRESS": 1, "REQUIRED_FIELD_MISSING": 1}, 7)
    assert salesforce_org.records("Contact") == []


@pytest.mark.parametrize(
    ("header", "options", "status"), [("LastName", (), 0), ("LastNam", (), 2), ("LastName", ("--failed", "f.csv"), 2)]
)
def test_a_check_ends_as_the_load_would(
    header: str, options: tuple[str, ...], status: int, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"{header}\nDoe\n", encoding="utf-8")
    assert run("load", "Contact", tmp_path / "in.csv", "--check", *options).exit_code == status


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what a command may trip over."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("LastName,Email\n,c@d.example\n", encoding="utf-8")
    (tmp_path / "q.soql").write_text("SELECT Name FROM Account", encoding="utf-8")
    (tmp_path / "link").symlink_to("in.csv")
    (tmp_path / "hard").hardlink_to("in.csv")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "latin").write_bytes(b"SELECT Name FROM Account WHERE Name = '\xfc'")
    (tmp_path / "huge").write_bytes(b"SELECT " + b"x" * 400_000)
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path


QUERY = "SELECT Name FROM Account"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *(
            (("load", "Contact", "in.csv", "--failed", each), "is the input file")
            for each in ("in.csv", "./in.csv", "link", "hard", "folder.csv/../in.csv")
        ),
        (("load", "Contact", "link", "--failed", "in.csv"), "is the input file"),
        (("load", "Contact", "in.csv", "--failed", "gone/failed.csv"), "cannot be written: No such file"),
        (("load", "Contact", "in.csv", "--failed", "folder.csv"), "exists and is not a regular file"),
        (("load", "Contact", "in.csv", "--failed", "circle"), "cannot be written"),
        (("load", "Contact", "pipe.csv"), "not a regular file"),
        (("load", "Contact", "folder.csv"), "it is a folder"),
        (("load", "Contact", "s3://bucket/in.csv"), "a file of this machine"),
        (("load", "Contact", "in.csv", "--failed", "s3://bucket/failed.csv"), "only local files"),
        (("load", "Contact", "{here}/in.csv", "--failed", "in.csv"), "is the input file"),
        (("extract", "@q.soql", "-o", "q.soql", "--format", "csv"), "is the input file"),
        (("extract", QUERY, "-o", "pipe.csv"), "exists and is not a regular file"),
        (("extract", QUERY, "-o", "/dev/null", "--format", "csv"), "exists and is not a regular file"),
        (("extract", QUERY, "-o", "..", "--format", "csv"), "exists and is not a regular file"),
        (("extract", QUERY, "-o", "gone/out.csv"), "cannot be written: No such file"),
        (("extract", QUERY, "-o", "x" * 300 + ".csv"), "cannot be written: File name too long"),
        (("extract", QUERY, "-o", "s3://bucket/out.csv"), "only local files"),
        (
            ("load", "Contact", "in.csv", "--failed", "failed.csv", "--no-wait"),
            "--failed cannot be combined with --no-wait",
        ),
        (("extract", "q.soql"), "does not begin with SELECT: to read it from a file, write @FILE"),
        (("extract", "@gone"), "gone cannot be read: No such file"),
        (("extract", "@folder.csv"), "is not a file: name a file"),
        (("extract", "@pipe.csv"), "is not a file: name a file"),
        (("extract", "@"), "is not a file: name a file"),
        (("extract", "@latin"), "not UTF-8, at byte 40"),
        (("extract", "@huge"), "larger than a query may be"),
        (("--conn-id", "no\x1bpe", "login-test"), "no connection 'no\\x1bpe'"),
        (("--conn-id", "\udcff", "login-test"), "unpaired surrogate"),
        (("load", "Contact", "in.csv", "--timeout", "nan"), "timeout must be a number of seconds"),
        (("load", "Contact", "in.csv", "--timeout=-1"), "timeout must be a number of seconds"),
        (("load", "Contact", "in.csv", "--map", "Email=Phone", "--map", "Email="), "names the column 'Email' twice"),
        (("load", "Contact", "in.csv", "--map", "=Phone"), "--map must be SOURCE=Field__c"),
        (("load", "Contact", "\udcff.csv"), "cannot read \\udcff.csv"),
        (("load", "Contact", "in.csv", "--timezone", "../../etc/passwd"), "IANA name of a zone"),
        (("load", "Contact", "in.csv", "--operation", "upsert", "--external-id", "\x1b[2J"), "field's API name"),
        (("jobs", "../../sobjects"), "not a Salesforce job id"),
        (("describe", "Account/../x"), "not an object's API name"),
    ],
    ids=str,
)
def test_files_that_cannot_be_used_are_refused_before_anything_is_sent(
    arguments: tuple[str, ...], said: str, run: Run, here: Path, salesforce_org: LocalOrg
) -> None:
    before = {each.name: each.read_bytes() for each in here.iterdir() if each.is_file()}
    result = run(*(each.replace("{here}", here.as_uri()) for each in arguments))
    assert (result.exit_code, result.stdout) == (2, ""), result.exception
    assert said in result.stderr
    assert len(result.stderr) < 1_100
    assert {each.name: each.read_bytes() for each in here.iterdir() if each.is_file()} == before
    assert salesforce_org.jobs == []


def test_a_query_without_rows_makes_a_csv_with_a_header(run: Run, here: Path) -> None:
    assert run("extract", f"{QUERY} WHERE Name = 'none'", "-o", "out.csv").exit_code == 0
    assert (here / "out.csv").read_text(encoding="utf-8") == "Name\n"


def test_rows_of_others_do_nothing_to_the_terminal(run: Run, here: Path) -> None:
    name = "\x1b]0;x\x07\u202e\x9b2J"
    (here / "rows.jsonl").write_text(json.dumps({"Name": name}), encoding="utf-8")
    run("load", "Account", "rows.jsonl")
    (line,) = run("extract", QUERY).stdout.splitlines()
    assert line.isprintable()
    assert json.loads(line) == {"Name": name}


def test_a_file_is_private_until_it_is_whole(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = LocalFile.commit

    def commit(self: LocalFile) -> str:
        seen.append(self._part.stat().st_mode & 0o777)
        return original(self)

    monkeypatch.setattr(LocalFile, "commit", commit)
    umask = os.umask(0o027)
    try:
        run("load", "Contact", "in.csv", "--failed", "failed.csv")
    finally:
        os.umask(umask)
    assert seen == [0o600]
    assert (here / "failed.csv").stat().st_mode & 0o777 == 0o640
