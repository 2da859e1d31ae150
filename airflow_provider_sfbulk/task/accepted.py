"""Records whether Airflow accepted the end of a try as a success or a failure: this distinguishes a retry from a clear.

A task cannot know this before it ends: its success counts once the API server has accepted it. Only then does Airflow
call the listeners, in the same process, which can still write to the task state store. If the process dies in between,
or Airflow does not accept the success, nothing is recorded, and the next try says so.

The operators add the listener themselves when a try begins, so it needs no plugin.
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
"""How long the entries of this process's tries are kept, by the id of the task instance. The entries may have been written
by another operator: one operator can be run within the code of another task."""


def open_ledger(context: Context, retention: Any) -> TaskLedger:
    """Open the ledger of a try, and arrange that the end of the try is recorded in it.

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
    """Record the success after checking it: Airflow also calls this when its API server has refused the success."""
    _note(task_instance, SUCCESS)


@hookimpl
def on_task_instance_failed(task_instance: Any) -> None:
    """Record a final failure. A failure that will be retried is reported here, too."""
    if task_instance.state == FAILED:
        _note(task_instance, FAILED)


def _note(ti: Any, state: str) -> None:
    retention = _retentions.pop(ti.id, None)
    if retention is None:
        return
    try:
        if state == SUCCESS and states_of(ti) != [SUCCESS]:
            log.warning("Airflow has not accepted the success of this try: the next one returns the same result")
            return
        _ledger(ti.get_template_context(), retention).take(state)
    except Exception as error:
        log.warning("could not record that this try ended as %s (%s)", state, type(error).__name__)
