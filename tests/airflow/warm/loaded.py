"""Airflow's command, once others' modules that every try imports are loaded: tries are forked from the scheduler."""

from __future__ import annotations

from importlib import import_module

from airflow.__main__ import main

for name in (
    *(
        "airflow.dag_processing.dagbag",
        "airflow.sdk.execution_time.supervisor",
        "airflow.sdk.execution_time.task_runner",
    ),
    *("openlineage.client", "pandas", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "requests"),
):
    import_module(name)

if __name__ == "__main__":
    main()
