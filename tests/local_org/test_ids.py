"""Ids as Salesforce forms them."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.local_org import ids


def test_the_suffix_is_that_of_the_published_example() -> None:
    assert ids.lengthen("a0D30000001n7Pi") == "a0D30000001n7PiEAI"


def test_ids_are_valid_ascending_and_never_twice() -> None:
    made = list(ids.make("001", 3_800, 8_000))
    assert made == sorted(set(made))
    assert all(ids.normalize(made_id[:15]) == made_id for made_id in made)
    assert made[100:200] == list(ids.make("001", 3_900, 100))


@pytest.mark.parametrize("text", ["", "001", "a0D30000001n7PiEAJ", "a0d30000001n7piEAI", "a0D30000001n7P!", "é" * 15])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ids.MalformedIdError):
        ids.normalize(text)
