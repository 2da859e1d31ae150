"""The Salesforce CLI's bulk commands against a local org. It is some hundred megabytes, so it is run only when asked for.

It takes plain http, and any address for a login by access token or JWT.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Witness

HERE = Path(__file__).parent / "cli"
COMMAND = HERE / "node_modules" / ".bin" / "sf"


class Cli:
    """The CLI in a home of its own, logged in nowhere."""

    def __init__(self, node: str, home: Path, org: LocalOrg) -> None:
        self._node = node
        self._home = home
        self.org = org
        self._environment = {
            **os.environ,
            "HOME": str(home),
            "SF_ACCESS_TOKEN": Witness(org).log_in(),
            "SF_AUTOUPDATE_DISABLE": "true",
            "SF_DISABLE_TELEMETRY": "true",
            "SF_SKIP_NEW_VERSION_CHECK": "true",
            "SF_USE_GENERIC_UNIX_KEYCHAIN": "true",
        }

    def __call__(self, *words: str) -> Any:
        """Run a command; return what it says."""
        run = subprocess.run(
            [self._node, COMMAND, *words, "--json"],
            cwd=self._home,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        try:
            said = json.loads(run.stdout)
        except ValueError:
            raise RuntimeError(f"{' '.join(words[:3])}: {run.stderr[-500:]}") from None
        if said.get("status") != 0:
            raise RuntimeError(f"{said.get('name')}: {said.get('message')}")
        return said["result"]

    def table(self, *rows: list[str]) -> str:
        """Write a CSV file; return its path."""
        path = self._home / "table.csv"
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        return str(path)

    def ids(self) -> list[str]:
        """Return the ids of the org's accounts."""
        return [record["Id"] for record in self.org.records("Account")]


def log_in_by_token(sf: Cli) -> None:
    sf("org", "login", "access-token", "--instance-url", sf.org.url, "--no-prompt", "--set-default")


def log_in_by_jwt(sf: Cli) -> None:
    key = Path(sf.table()).with_name("key.pem")
    key.write_text(sf.org.private_key)
    words = ["--client-id", sf.org.client_id, "--username", sf.org.username, "--jwt-key-file", str(key)]
    sf("org", "login", "jwt", "--instance-url", sf.org.url, *words, "--set-default")


def import_bulk(sf: Cli) -> None:
    path = sf.table(["Name", "External_Key__c"], ["A", "1"], ["B", "2"])
    done = sf("data", "import", "bulk", "--sobject", "Account", "--file", path, "--wait", "2")
    assert (done["processedRecords"], done["failedRecords"]) == (2, 0)
    assert [record["Name"] for record in sf.org.records("Account")] == ["A", "B"]


def update_bulk(sf: Cli) -> None:
    path = sf.table(["Id", "Phone"], *([record_id, "5"] for record_id in sf.ids()))
    sf("data", "update", "bulk", "--sobject", "Account", "--file", path, "--wait", "2")
    assert {record["Phone"] for record in sf.org.records("Account")} == {"5"}


def upsert_bulk(sf: Cli) -> None:
    path = sf.table(["External_Key__c", "Name"], ["2", "BB"], ["3", "C"])
    words = ["--external-id", "External_Key__c", "--line-ending", "LF"]
    sf("data", "upsert", "bulk", "--sobject", "Account", "--file", path, "--wait", "2", *words)
    assert sorted(record["Name"] for record in sf.org.records("Account")) == ["A", "BB", "C"]


def results_of_failed_rows(sf: Cli) -> None:
    path = sf.table(["Name", "External_Key__c"], ["D", "4"], ["", "5"])
    with pytest.raises(RuntimeError, match="failed to process 1 record"):
        sf("data", "import", "bulk", "--sobject", "Account", "--file", path, "--wait", "2")
    done = sf("data", "bulk", "results", "--job-id", sf.org.jobs[-1].id)
    assert done["failedRecords"] == 1


def export_bulk(sf: Cli) -> None:
    path = str(Path(sf.table()).with_name("out.csv"))
    words = ["--query", "SELECT Name FROM Account ORDER BY Name", "--output-file", path, "--wait", "2"]
    done = sf("data", "export", "bulk", *words)
    assert done["totalSize"] == 4
    with Path(path).open(newline="") as file:
        assert [row["Name"] for row in csv.DictReader(file)] == ["A", "BB", "C", "D"]


def export_pages(sf: Cli) -> None:
    sf.org.core.page_records = 3
    export_bulk(sf)


def delete_bulk(sf: Cli) -> None:
    path = sf.table(["Id"], *([record_id] for record_id in sf.ids()[:1]))
    sf("data", "delete", "bulk", "--sobject", "Account", "--file", path, "--wait", "2")
    assert len(sf.ids()) == 3


def hard_delete_bulk(sf: Cli) -> None:
    path = sf.table(["Id"], *([record_id] for record_id in sf.ids()))
    sf("data", "delete", "bulk", "--sobject", "Account", "--file", path, "--wait", "2", "--hard-delete")
    assert len(sf.org.records("Account", include_deleted=True)) == 1


def limits(sf: Cli) -> None:
    assert {"name": "DailyBulkApiBatches", "max": 15_000} in [
        {"name": each["name"], "max": each["max"]} for each in sf("org", "list", "limits")
    ]


def describe(sf: Cli) -> None:
    assert sf("sobject", "describe", "--sobject", "Account")["name"] == "Account"
    assert "Opportunity" in sf("sobject", "list", "--sobject", "all")


def query(sf: Cli) -> None:
    found = sf("data", "query", "--query", "SELECT Name, (SELECT LastName FROM Contacts) FROM Account ORDER BY Name")
    assert found["totalSize"] == len(sf.ids())


def single_records(sf: Cli) -> None:
    of = ["--sobject", "Account"]
    made = sf("data", "create", "record", *of, "--values", "Name='One' External_Key__c=one")["id"]
    assert sf("data", "get", "record", *of, "--record-id", made)["Name"] == "One"
    sf("data", "update", "record", *of, "--record-id", made, "--values", "Name='Two'")
    assert sf("data", "get", "record", *of, "--where", "External_Key__c=one")["Name"] == "Two"
    sf("data", "delete", "record", *of, "--record-id", made)
    assert made not in sf.ids()


def trees(sf: Cli) -> None:
    folder = Path(sf.table()).parent
    tree = {
        "records": [
            {
                "attributes": {"type": "Account", "referenceId": "a"},
                "Name": "Tree",
                "Contacts": {"records": [{"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "Leaf"}]},
            }
        ]
    }
    (folder / "tree.json").write_text(json.dumps(tree))
    sf("data", "import", "tree", "--files", str(folder / "tree.json"))
    assert [record["LastName"] for record in sf.org.records("Contact")] == ["Leaf"]
    words = ["--query", "SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Name = 'Tree'"]
    sf("data", "export", "tree", *words, "--output-dir", str(folder))


OPERATIONS: dict[str, Callable[[Cli], None]] = {
    "org login jwt": log_in_by_jwt,
    "org login access-token": log_in_by_token,
    "data import bulk": import_bulk,
    "data update bulk": update_bulk,
    "data upsert bulk": upsert_bulk,
    "data import bulk, data bulk results": results_of_failed_rows,
    "data export bulk": export_bulk,
    "data export bulk, in pages": export_pages,
    "data delete bulk": delete_bulk,
    "data delete bulk --hard-delete": hard_delete_bulk,
    "org list limits": limits,
    "sobject describe, sobject list": describe,
    "data query": query,
    "data create, get, update, delete record": single_records,
    "data import tree, data export tree": trees,
}


def outcomes(node: str) -> list[dict[str, Any]]:
    """Do all operations; return what came of each."""
    version = json.loads((HERE / "node_modules" / "@salesforce" / "cli" / "package.json").read_text())["version"]
    found = []
    with LocalOrg() as org, tempfile.TemporaryDirectory() as home:
        sf = Cli(node, Path(home), org)
        for operation, do in OPERATIONS.items():
            error = None
            try:
                do(sf)
            except (RuntimeError, AssertionError) as caught:
                error = f"{type(caught).__name__}: {caught}"
            found.append({"client": f"sf {version}", "operation": operation, "error": error, "known": None})
    return found
