"""What holds for every test.

Properties are tried with new examples in every run; a failing one prints what repeats it (``@reproduce_failure``). How
long an example takes says something of the machine alone, so there is no deadline.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine", deadline=None, print_blob=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
