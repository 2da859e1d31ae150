"""The merge that the page for lakes shows, in DuckDB where that is installed: the table ends equal to the org."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset

from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental
from tests.provider.conftest import FakeTask

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "lake.md"
FIELDS = ["Id", "Name", "IsDeleted", "SystemModstamp"]


def test_the_merge_of_the_page_gives_the_org_s_records(org: LocalOrg, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    (sql,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    sql = sql.replace("/data/account_changes", str(tmp_path))
    lake = duckdb.connect(str(tmp_path / "lake.duckdb"))
    hook = SalesforceBulkHook()
    assets: dict[Any, Any] = {}
    hook.insert("Account", [{"Name": f"account {number}"} for number in range(5)])
    ids = [row["Id"] for row in org.records("Account")]
    for step in range(4):
        if step == 1:
            hook.update("Account", [{"Id": ids[0], "Name": "changed"}, {"Id": ids[1], "Name": "changed"}])
            hook.delete("Account", [{"Id": ids[4]}])
        if step == 2:
            hook.insert("Account", [{"Name": "new"}])
            hook.update("Account", [{"Id": ids[1], "Name": "changed again"}])
        org.advance(600)
        _extract(tmp_path / f"run-{step}", assets)
        lake.execute(sql)
        lake.execute(sql)
        there = dict(lake.execute("SELECT Id, Name FROM accounts").fetchall())
        assert there == {row["Id"]: row["Name"] for row in org.records("Account")}


def _extract(folder: Path, assets: dict[Any, Any]) -> None:
    extract = BulkQueryOperator(
        task_id="task",
        sobject="Account",
        fields=FIELDS,
        incremental=Incremental(asset=Asset("changes")),
        include_deleted=True,
        output_path=str(folder),
        output_format="parquet",
        deferrable=False,
    )
    FakeTask(assets=assets).start().run(extract)
