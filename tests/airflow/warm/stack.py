"""An Airflow that takes its empty database from a folder, and whose tries are forked from where much is loaded."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from airflow_provider_sfbulk.demo.stack import AirflowStack

LOADED: Final = Path(__file__).with_name("loaded.py")


class WarmStack(AirflowStack):
    """An :class:`AirflowStack` that starts with less work.

    :param database: what to begin with, see :func:`lay_out`
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        environment: Mapping[str, str],
        *,
        database: Path,
        roles: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home, dags, environment, roles=roles)
        self._empty = database

    def migrate(self) -> None:
        shutil.copy(self._empty, self.home)

    def _command(self, *arguments: str) -> list[str]:
        command = super()._command(*arguments)
        # Not as a module: the tests are no module to Airflow.
        return [command[0], "-P", str(LOADED), *arguments] if arguments[0] == "scheduler" else command


def lay_out(folder: Path) -> Path:
    """Give Airflow's empty database in a folder that processes share. The first one makes it, which takes seconds."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack = AirflowStack(folder / "home", folder / "dags", {})
        made = folder / "airflow.db"
        if not made.exists():
            stack.home.mkdir(exist_ok=True)
            stack.migrate()
            (stack.home / made.name).rename(made)
    return made
