"""Calls to Airflow from the threads of a load, one at a time.

In a worker Airflow's channel has a lock of its own. In ``dag.test()`` it has none: the channel is taken away from the
process while a call is answered, and another thread's call meanwhile fails with an ``ImportError`` (Airflow 3.3.2,
``set_supervisor_comms``).
"""

from __future__ import annotations

import threading
from typing import Final

ONE_AT_A_TIME: Final = threading.RLock()
