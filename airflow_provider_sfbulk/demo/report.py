"""What the demo's run did, and whether it is what it must be."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from textwrap import shorten
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_sfbulk.demo.airports import KEY, NUMBERS, PLANTED, airports
from airflow_provider_sfbulk.demo.stack import AirflowStack

TASKS = ("write_file", "load", "extract")


class Mismatch(Exception):
    """The demo ran, and its result is not what it must be."""


def show(stack: AirflowStack, dag_id: str, run_id: str, *, seconds_to_start: float) -> None:
    """Print what was loaded, what failed and why, where the files are, and how long each step took."""
    loaded = stack.xcom(dag_id, run_id, "load") or {}
    extracted = stack.xcom(dag_id, run_id, "extract") or {}
    lines = ["", "Loaded"]
    lines += [
        f"  jobs        {', '.join(loaded.get('job_ids', [])) or 'none'}",
        f"  successful  {loaded.get('successful', 0):,} rows",
        f"  failed      {loaded.get('failed', 0):,} rows",
    ]
    lines += [f"    {code:<28} {count}" for code, count in loaded.get("errors", {}).items()]
    lines += _reasons(loaded)
    lines += [f"  API calls   {loaded.get('api_calls', 0)}"]
    lines += [f"  {kind:<11} {uri}" for kind, uris in loaded.get("results", {}).items() for uri in uris]
    lines += ["Extracted", f"  job         {extracted.get('job_id', 'none')}"]
    lines += [f"  records     {extracted.get('records', 0):,} in {len(extracted.get('files', []))} file(s)"]
    lines += [f"  API calls   {extracted.get('api_calls', 0)}"]
    lines += [f"  file        {uri}" for uri in extracted.get("files", [])]
    lines += [f"  manifest    {extracted.get('manifest', 'none')}", "Time"]
    lines += [f"  {'start':<11} {seconds_to_start:6.1f} s  (local org and Airflow)"]
    for task_id in TASKS:
        task = stack.task(dag_id, run_id, task_id)
        lines += [f"  {task_id:<11} {_seconds(task):6.1f} s  ({task['state']})"]
    print("\n".join(lines), flush=True)  # noqa: T201 - a command's own output


def check(stack: AirflowStack, dag_id: str, run_id: str, *, records_in_org: int) -> None:
    """Compare the input, the org, the summaries and the files with each other.

    :param records_in_org: what the org itself counts
    :raises Mismatch: naming what differs
    """
    expected = {row[KEY]: row for row in airports()}
    loaded = stack.xcom(dag_id, run_id, "load")
    extracted = stack.xcom(dag_id, run_id, "extract")
    _same("records in the org", records_in_org, len(expected))
    _same("rows loaded", loaded["successful"], len(expected))
    _same("rows failed", loaded["failed"], len(PLANTED))
    _same("keys of the failed rows", sorted(row[KEY] for row in _failed(loaded)), sorted(PLANTED))
    rows = [row for uri in extracted["files"] for row in pq.read_table(uri).to_pylist()]
    _same("rows extracted", len(rows), len(expected))
    _same("keys extracted", {row[KEY] for row in rows}, expected.keys())
    for row in rows:
        for field, sent in expected[row[KEY]].items():
            found = row[field]
            same = (found or "") == sent if field not in NUMBERS else found == Decimal(sent)
            if not same:
                raise Mismatch(f"{field} of {row[KEY]} was sent as {sent!r} and came back as {found!r}")
    manifest = json.loads(Path(extracted["manifest"]).read_text())
    _same("records of the manifest", manifest["records"], len(expected))
    print(  # noqa: T201 - a command's own output
        f"Checked: {len(rows):,} rows came back as they were sent, and exactly the {len(PLANTED)} planted rows failed.",
        flush=True,
    )


def _reasons(loaded: dict[str, Any]) -> list[str]:
    lines = [f"{row[KEY]}: {row['sf__Error']}" for row in _failed(loaded)]
    return [f"    {shorten(each, 110, placeholder=' …')}" for each in lines]


def _failed(loaded: dict[str, Any]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for uri in loaded.get("results", {}).get("failed", []):
        with Path(uri).open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def _seconds(task: dict[str, Any]) -> float:
    if not task["start_date"] or not task["end_date"]:
        return 0.0
    return (datetime.fromisoformat(task["end_date"]) - datetime.fromisoformat(task["start_date"])).total_seconds()


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Mismatch(f"{what}: {found!r} where {expected!r} is due")
