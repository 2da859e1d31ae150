"""Records how Airflow took the end of a try: the fact that distinguishes a retry from what a person asked for.

A task cannot know it before it ends: its success is taken when the API server has taken it, and only then does Airflow call
the listeners, in the same process. The task state store may still be written then. When the process dies in between, or
Airflow did not take the success, nothing is recorded, and the next try says so.

The listener is added by the operators themselves, when a try begins: it needs no plugin.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from airflow_provider_sfbulk.task.ledger import FAILED, SUCCESS, TaskLedger

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_retentions: dict[Any, Any] = {}
"""How long the entries of this process's tries are kept, by the id of the task instance. It need not be the instance of the
operator that has written them: an operator may be run by the code of another task."""


def open_ledger(context: Context, retention: Any) -> TaskLedger:
    """Open the ledger of a try, and have the end of the try recorded in it.

    :param retention: how long the entries are kept: a timedelta or ``NEVER_EXPIRE``
    """
    from airflow.sdk.listener import get_listener_manager  # noqa: PLC0415 - only in a task's process

    _retentions[context["ti"].id] = retention
    manager: Any = get_listener_manager()
    manager.add_listener(sys.modules[__name__])
    return _ledger(context, retention)


def _ledger(context: Context, retention: Any) -> TaskLedger:
    return TaskLedger(
        context["task_state_store"],
        try_number=context["ti"].try_number,
        clears=getattr(context.get("dag_run"), "clear_number", None),
        max_tries=getattr(context["ti"], "max_tries", None),
        retention=retention,
    )


def states_of(ti: Any) -> list[str]:
    """Ask Airflow for the state of a task instance."""
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index)
    return [str(state) for by_task in states.values() for state in by_task.values()]


@hookimpl
def on_task_instance_success(task_instance: Any) -> None:
    """Take note, if it is so: Airflow calls this also when its API server has refused the success."""
    _note(task_instance, SUCCESS)


@hookimpl
def on_task_instance_failed(task_instance: Any) -> None:
    """Take note of a failure that is final. One that is to be tried again is reported here, too."""
    if task_instance.state == FAILED:
        _note(task_instance, FAILED)


def _note(ti: Any, state: str) -> None:
    retention = _retentions.pop(ti.id, None)
    if retention is None:
        return
    try:
        if state == SUCCESS and states_of(ti) != [SUCCESS]:
            log.warning("Airflow has not taken the success of this try: the next one returns the same result")
            return
        _ledger(ti.get_template_context(), retention).take(state)
    except Exception as error:
        log.warning("that Airflow has taken this try as %s could not be recorded (%s)", state, type(error).__name__)
