"""Whether a person ended a task instance: recorded by Airflow's API server when it happens, read before jobs are aborted.

Facts (Airflow 3.3.2, read and run). That a task or its trigger has to end does not say why: a deploy, a lost
heartbeat, ``dagrun_timeout``, ``fail_fast`` and a person reach a task process as the same signal; and a trigger's
``on_kill`` is also called in a triggerer that is late, for triggers that another one has taken over (apache/airflow#73454).
Nor does the task instance's state: a try whose time is up, or that was taken for lost, is ``failed`` as well.
But the API server calls the listeners of plugins, in the transaction of the request, when a person marks a task, a group of
tasks or a run as failed, successful or skipped, and only then without a previous state.

So the listener records the fact as an XCom of the task instance, in that same transaction, with the id of the task
instance, which is another in each try. No such record, no abort: that is so, too, when this package is not installed where
the API server runs. A clear records nothing: the next try goes on with the jobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow.listeners import hookimpl

ENDED_XCOM_KEY: Final = "salesforce_bulk_ended_by_person"


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any) -> None:
    """Record that a person marked the task as failed, or its run."""
    _record(previous_state, task_instance, "failed")


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Record that a person marked the task as successful, or its run."""
    _record(previous_state, task_instance, "success")


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """Record that a person marked the task as skipped."""
    _record(previous_state, task_instance, "skipped")


def _record(previous_state: Any, task_instance: Any, state: str) -> None:
    if previous_state is not None:  # a task process, or the scheduler
        return
    from airflow.models.xcom import XComModel  # noqa: PLC0415 - Airflow's database, which only the API server has
    from sqlalchemy.orm import object_session  # noqa: PLC0415

    from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY  # noqa: PLC0415

    session = object_session(task_instance)
    if session is None:
        return
    key = {name: getattr(task_instance, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
    is_ours = session.query(XComModel.key).filter_by(key=PROGRESS_XCOM_KEY, **key).first() is not None
    if is_ours:
        fact = {"ti_id": str(task_instance.id), "state": state}
        with session.begin_nested():  # an error here must not undo what the person did
            XComModel.set(key=ENDED_XCOM_KEY, value=fact, serialize=False, session=session, **key)


def is_ended_by_person(task_instance: Any) -> bool:
    """Whether a person has ended this try. Asks Airflow, and blocks.

    :param task_instance: of this try, as a task or a trigger has it
    :raises AirflowRuntimeError: Airflow does not say; other exceptions: it cannot be asked
    """
    from airflow.sdk.bases.xcom import BaseXCom  # noqa: PLC0415 - the API server needs none of it

    # By the class itself: a custom XCom backend has not written it.
    fact = BaseXCom.get_one(
        key=ENDED_XCOM_KEY,
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index,
    )
    return isinstance(fact, Mapping) and fact.get("ti_id") == str(task_instance.id)
