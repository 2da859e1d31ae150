"""The process that is killed: one try of a task with the real operator.

``python -m tests.kills.process.task '<a Spec as JSON>'`` runs one; :mod:`tests.kills.process.nursery` forks many of them.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, Final

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.listener import get_listener_manager

from airflow_provider_sfbulk import client, files, hooks, operators, task
from airflow_provider_sfbulk.files.storage import find_sources
from airflow_provider_sfbulk.operators import base
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.kills.process.halts import Halts
from tests.kills.process.spec import Spec
from tests.kills.process.states import States
from tests.kills.wire.steps import Moment, Step

OPERATORS: Final[Mapping[str, type[BaseOperator]]] = {"ingest": BulkIngestOperator, "query": BulkQueryOperator}
OVERTAKEN: Final = 3
"""Exit code of a process that came to its end although it was to be killed."""


class TaskInstance:
    """What the operators use of Airflow's task instance."""

    dag_id, task_id, run_id, map_index = "dag", "task", "run", -1

    def __init__(self, spec: Spec) -> None:
        self.try_number = self.id = spec.try_number

    def xcom_push(self, key: str, value: Any) -> None:
        """Take a value; Airflow's API server would keep it."""
        json.dumps({key: value})


def warm_up() -> None:
    """Do what costs a process most of its time and is the same each time.

    Airflow looks for file systems, for secrets and for listeners, which brings its database models; pyarrow for pandas,
    whose types its compute functions take; and the operators import what they need when they run.
    """
    for source in find_sources(__file__):
        source.open().close()
    importlib.import_module("pandas")
    os.environ["AIRFLOW_CONN_WARM_UP"] = "{}"
    BaseHook.get_connection("warm_up")
    get_listener_manager()
    for part in (client, files, hooks, operators, task):
        for module in walk_packages(part.__path__, f"{part.__name__}."):
            importlib.import_module(module.name)


def run(spec: Spec) -> int:
    """Run the try and write its outcome; give the exit code."""
    os.environ["AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT"] = spec.connection
    # The org shows every state of a job for one look, whatever the time: pauses would only make the test slow.
    base.FIRST_POLLS = (0.0,) * 6  # type: ignore[attr-defined, misc, assignment]
    halts = Halts() if spec.halt is None else Halts(Step(*spec.halt[:2]), Moment(spec.halt[2]))
    halts.watch_files()
    states = States(spec.states, spec.try_number, halts)
    context: Any = {"ti": TaskInstance(spec), "task_state_store": states}
    outcome: dict[str, Any]
    code = 0
    try:
        operator = OPERATORS[spec.operator](task_id="task", deferrable=False, **spec.arguments)
        outcome = {"result": operator.execute(context)}
    except Exception as error:
        outcome = {"error": type(error).__name__, "message": str(error)}
        traceback.print_exc()
        code = 1
    if spec.lingers is not None:
        time.sleep(spec.lingers)
        code = OVERTAKEN
    path = Path(spec.outcome)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({**outcome, "steps": halts.counts}), encoding="utf-8")
    part.replace(path)
    return code


if __name__ == "__main__":
    sys.exit(run(Spec.from_json(sys.argv[1])))
