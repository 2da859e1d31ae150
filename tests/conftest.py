"""What holds for every test.

Airflow has a home of its own: nothing of the user's Airflow is read or written.

Properties are tried with new examples in every run; a failing one prints what repeats it (``@reproduce_failure``). How
long an example takes says something of the machine alone, so there is no deadline.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.airflow.warm.stack import lay_out
from tests.client.waiting.pauses import shorten
from tests.examples import USUAL

FIRST = (
    *(
        "tests/airflow/",
        "tests/kills/",
        "tests/clears/",
        "tests/watch/",
        "tests/parity/test_mutants.py",
        "tests/test_docs.py",
    ),
    *("tests/test_demo.py", "tests/test_docs_site.py", "tests/test_public_names.py", "tests/local_org/test_command.py"),
    *("tests/simulator/", "tests/provider/"),
)
"""What takes longest, so that no process is left with it at the end."""

TOGETHER = ("tests/airflow/", "tests/kills/")
"""Folders whose tests share what takes long to set up: one Airflow, and the process that forks the tries."""

APART = ("tests/simulator/", "tests/test_docs.py")
"""Files whose tests share nothing, and take long."""

# Airflow reads its settings once, when a test module imports it: this comes before.
for inherited in [name for name in os.environ if name.startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[inherited]
# Nothing leaves loopback, and a client checks all authorities of such a file before its first call: that is half a test.
for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(bundle, None)
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

settings.register_profile(
    "any machine",
    max_examples=USUAL,
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def short_pauses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no pause of the client last.

    How long they are is tested where a driver is given a clock and a way to sleep, or by tests marked ``real_pauses``.
    """
    if not request.node.get_closest_marker("real_pauses"):
        shorten(monkeypatch.setattr)


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's database with nothing in it, for copies: one for all processes of the run."""
    own = tmp_path_factory.getbasetemp()
    return lay_out((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "airflow-database")


def pytest_collection_finish() -> None:
    """Look for garbage more seldom: what is imported and collected by now is looked through in vain each time."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(
        key=lambda item: next((at for at, place in enumerate(FIRST) if item.nodeid.startswith(place)), len(FIRST))
    )


class ByFile(LoadScopeScheduling):
    """A file, or a folder of :data:`TOGETHER`, goes to whichever process is free: what its tests share is made once."""

    def _split_scope(self, nodeid: str) -> str:
        # xdist's own groups are marks, which have no effect with pytest 9.2 (xdist 3.8).
        if nodeid.startswith(APART):
            return nodeid
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Say how tests are dealt out to the processes: in their order, not by how many a file has."""
    config.option.loadscopereorder = False
    return ByFile(config, log)
