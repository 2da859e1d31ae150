"""The page under Airflow's other auth manager, FAB, whose roles may read some DAGs and not others.

``make fab`` installs the FAB provider and runs this; it is not part of ``make test``, since that brings
nineteen packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from airflow_provider_sfbulk.demo.stack import COMPONENTS, AirflowStack
from airflow_provider_sfbulk.plugin import PREFIX
from tests.airflow.page.shown import fetch

pytestmark = pytest.mark.skipif(os.environ.get("SFBULK_FAB") != "1", reason="make fab")

DAGS: Final = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for dag_id in ("ours", "theirs"):
    with DAG(dag_id, schedule=None):
        EmptyOperator(task_id="load")
"""

USERS: Final = """
import json, os

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

with get_application_builder() as builder:
    manager = builder.sm
    theirs = manager.add_role("Theirs")
    for resource in ("DAG:theirs", "DAG Runs", "Task Instances", "XComs"):
        manager.add_permission_to_role(theirs, manager.create_permission("can_read", resource))
    for name, role in json.loads(os.environ["FAB_ROLES"]).items():
        password = os.environ["FAB_PASSWORD"]
        assert manager.add_user(name, name, name, f"{name}@example.com", manager.find_role(role), password)
"""

ROLES: Final = {"admin": "Admin", "vera": "Viewer", "theo": "Theirs", "ned": "Public"}
"""Theo may read the DAG ``theirs`` alone, Ned nothing."""


class FabStack(AirflowStack):
    """An API server with FAB's users, and what reads DAG files. Nothing runs tasks."""

    components: Mapping[str, tuple[str, ...]] = {name: COMPONENTS[name] for name in ("api-server", "dag-processor")}

    def migrate(self) -> None:
        super().migrate()
        environment = {**self._environment, "FAB_ROLES": json.dumps(ROLES), "FAB_PASSWORD": self._password}
        subprocess.run([sys.executable, "-c", USERS], env=environment, cwd=self.home, check=True)

    def _is_healthy(self) -> bool:
        try:
            _, _, health = fetch(f"{self.url}/api/v2/monitor/health")
            return bool(json.loads(health)["dag_processor"]["status"] == "healthy")
        except (OSError, ValueError):
            return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabStack]:
    pytest.importorskip("airflow.providers.fab")
    home = tmp_path_factory.mktemp("fab")
    (home / "dags").mkdir()
    (home / "dags" / "two.py").write_text(DAGS)
    manager = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    with FabStack(home / "home", home / "dags", {"AIRFLOW__CORE__AUTH_MANAGER": manager}, roles=ROLES) as stack:
        yield stack


@pytest.mark.parametrize(
    ("user", "ours", "theirs"),
    [("admin", 200, 200), ("vera", 200, 200), ("theo", 403, 200), ("ned", 403, 403), (None, 401, 401)],
)
def test_who_may_read_a_run_by_fab_s_roles_gets_its_page_and_nobody_else(
    stack: FabStack, user: str | None, ours: int, theirs: int
) -> None:
    token = None if user is None else stack.sign_in(user)
    for dag_id, expected in (("ours", ours), ("theirs", theirs)):
        run_id = stack.start_run(dag_id)
        for path in (f"run/{dag_id}/{run_id}", f"task/{dag_id}/{run_id}/load/-1"):
            status, _, text = fetch(f"{stack.url}/{PREFIX}/{path}", token)
            assert (path, status) == (path, expected)
            assert ("page.js" in text) is (expected == 200)
