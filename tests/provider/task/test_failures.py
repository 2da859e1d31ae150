"""What a task says of an error of the client."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_sfbulk.client.errors import JobFailedError, Remedy
from airflow_provider_sfbulk.task.failures import ADVICE, advise


@pytest.mark.parametrize("remedy", Remedy)
def test_advice_of_airflow_is_added_once(remedy: Remedy) -> None:
    error = pickle.loads(pickle.dumps(JobFailedError("job x was ended.", job_id="x", remedy=remedy)))
    assert error.remedy is remedy
    for _ in range(2):
        advise(error)
        assert str(error) == f"job x was ended. {ADVICE[remedy]}"


def test_an_error_that_says_all_itself_stays_as_it_is() -> None:
    error = JobFailedError("job x was ended")
    advise(error)
    assert str(error) == "job x was ended"
