"""Saving rows, wherever they come from: what is decided about them with the org's locks and troubles, then written.

The caller holds ``core.saving`` around both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import rows
from airflow_provider_sfbulk.local_org.data.columns import Plan
from airflow_provider_sfbulk.local_org.data.values import CLEAR
from airflow_provider_sfbulk.local_org.faults.rules import Checking


def decide(
    core: Core,
    plan: Plan,
    header: Sequence[str],
    columns: Sequence[list[str]],
    *,
    user_id: str,
    count: int | None = None,
    null: str = CLEAR,
    is_serial: bool = False,
) -> rows.Outcome:
    """Decide what becomes of some rows; arguments as for :func:`~.rows.decide`.

    :param is_serial: whether nothing else runs beside them, as in a serial job of Bulk API 1.0
    """
    held = core.locks.held_in_serial if is_serial else core.locks.held
    outcome = rows.decide(
        core.store,
        core.schema,
        plan,
        columns,
        now=core.clock.now(),
        user_id=user_id,
        count=count,
        null=null,
        held=held,
        refused=core.troubles.refused(plan.sobject.name, header, columns),
        checking=Checking(core.store, plan.sobject, core.rules.of(plan.sobject.name), frozenset(core.rules.closed)),
    )
    core.locks.met(each for each in held if any(each in error.text for error in outcome.errors.values()))
    return outcome


def write(connection: sqlite3.Connection, outcome: rows.Outcome) -> None:
    """Write what was decided."""
    for statement in outcome.statements:
        connection.executemany(statement.sql, statement.rows)
