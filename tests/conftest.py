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

from hypothesis import HealthCheck, settings

# Airflow reads its settings once, when a test module imports it: this comes before.
for inherited in [name for name in os.environ if name.startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[inherited]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

settings.register_profile(
    "any machine", deadline=None, print_blob=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
