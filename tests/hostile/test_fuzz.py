"""Whatever is made up: only this package's own errors come out, soon, and fit to be shown. Longer: ``make fuzz``."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.fuzz import EXAMPLES, WAYS_IN
from tests.hostile.judge import judged


@pytest.mark.parametrize("way", WAYS_IN)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_only_our_own_errors_come_out(way: str, data: st.DataObject) -> None:
    judged(*data.draw(WAYS_IN[way]))
