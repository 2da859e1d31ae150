"""Run with an Airflow's own settings: defer the tasks of a run as its execution API does, without a worker.

Reads a JSON line: ``[class path, arguments]`` for each task, beginning with the map index that is given.
"""

from __future__ import annotations

import json
import sys

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select


def defer(run_id: str, first: int, triggers: list[tuple[str, dict[str, object]]]) -> None:
    """Give each task its trigger."""
    with create_session() as session:
        theirs = TaskInstance.map_index.in_(range(first, first + len(triggers)))
        for task in session.scalars(select(TaskInstance).where(TaskInstance.run_id == run_id, theirs)).all():
            path, arguments = triggers[task.map_index - first]
            session.add(trigger := Trigger(classpath=path, kwargs=arguments))
            session.flush()
            task.trigger_id, task.state, task.next_method = trigger.id, TaskInstanceState.DEFERRED, "execute_complete"
            task.next_kwargs = {}


if __name__ == "__main__":
    defer(sys.argv[1], int(sys.argv[2]), json.load(sys.stdin))
