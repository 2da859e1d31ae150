"""What holds for every test.

Airflow has a home of its own: nothing of the user's Airflow is read or written.

Properties are tried with new examples in every run; a failing one prints what repeats it (``@reproduce_failure``). How
long an example takes says something of the machine alone, so there is no deadline.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER = "tests/airflow/"
"""Tests that share one Airflow, which takes most of a minute to start."""

# Airflow reads its settings once, when a test module imports it: this comes before.
for inherited in [name for name in os.environ if name.startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[inherited]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

settings.register_profile(
    "any machine", deadline=None, print_blob=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


class OneAirflow(LoadScopeScheduling):
    """Every test goes to whichever process is free, but those of one Airflow together to one, and first."""

    def _split_scope(self, nodeid: str) -> str:
        # xdist's own groups are marks, which have no effect with pytest 9.2 (xdist 3.8).
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneAirflow:
    """Say how tests are dealt out to the processes."""
    return OneAirflow(config, log)
