"""Runs in a process of its own, whose home holds Airflow's database: ``python -m tests.clears.scene FOLDER``.

Prints one JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.task import accepted, ledger
from tests.client.waiting.pauses import shorten

DAG_FILE = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

with DAG({name!r}, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
    BulkIngestOperator(task_id="load", sobject="Contact", operation="insert", source={source!r}, part_records=3,
                       retries={retries}, column_mapping={{"Name": "LastName"}})
"""
ROWS = [{"Name": f"Row {number}"} for number in range(9)]


def _cleared(dag: Any) -> str:
    """Clear the task as Airflow's API does, and let its next try run as the scheduler does."""
    with create_session() as session:
        ti = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id)).one()
        clear_task_instances([ti], session)
        ti.try_number += 1
        ti.state = TaskInstanceState.SCHEDULED
    _run_task(ti=ti, task=dag.task_dict["load"])
    with create_session() as session:
        return str(session.scalars(select(TaskInstance.state).where(TaskInstance.dag_id == dag.dag_id)).one())


def main(folder: Path) -> None:
    """Play all scenes."""
    shorten()
    found: dict[str, Any] = {}
    with LocalOrg() as org:
        os.environ["AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT"] = org.connection

        def play(name: str, day: int = 1, *, again: bool = False, retries: int = 0, source: Any = ROWS) -> Any:
            """Write a DAG file as a person edits it, and run it for a day; or clear its task and run that again."""
            path = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]) / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(DAG_FILE.format(name=name, retries=retries, source=source))
            given: dict[str, Any] = {"__file__": str(path), "__name__": name}
            exec(compile(path.read_text(), str(path), "exec"), given)
            before = len(org.records("Contact"))
            dag = given["dag"]
            state = _cleared(dag) if again else str(dag.test(logical_date=datetime(2026, 1, day, tzinfo=UTC)).state)
            return state, len(org.records("Contact")) - before

        found["many jobs"] = [play("many", day) for day in (1, 2)]
        found["cleared with fewer retries"] = [play("fewer", 1, retries=1), play("fewer", again=True, retries=0)]

        real, accepted.SUCCESS = accepted.SUCCESS, "never"  # type: ignore[attr-defined]
        first = play("untaken", 1)
        accepted.SUCCESS = real  # type: ignore[attr-defined]
        found["success that was not recorded"] = [first, *(play("untaken", again=True) for _ in range(2))]

        path = folder / "rows.csv"
        path.write_text("Name\nA\nB\n")
        settle = BulkIngestOperator._finish
        BulkIngestOperator._finish = lambda *_: (_ for _ in ()).throw(OSError("the worker dies"))  # type: ignore[method-assign]
        first = play("touched", 1, source=f"{folder}/*.csv")
        BulkIngestOperator._finish = settle  # type: ignore[method-assign]
        os.utime(path, (1, 1))
        (folder / "more.csv").write_text("Name\nC\n")
        org.wait_until_idle()
        found["touched, and one more file"] = [first, play("touched", again=True, source=f"{folder}/*.csv")]
    assert real == ledger.SUCCESS
    print(json.dumps(found))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main(Path(sys.argv[1]))
