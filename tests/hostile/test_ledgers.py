"""Whatever lies in a task's state store: the next try goes on rightly, or ends in this package's own error; no record goes
twice, none is left out of a success."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import pytest
from airflow.sdk._shared.secrets_masker import reset_secrets_masker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import LedgerError
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.hostile.fuzz import EXAMPLES, values
from tests.hostile.judge import check_shown
from tests.hostile.ledgers import GONE, SCENES
from tests.provider.conftest import no_old_secrets, no_pauses, org

__all__ = ["no_old_secrets", "no_pauses", "org"]

LOAD: Final = "sfbulk.try1.load"
END: Final = "sfbulk.try1.end.0"
PLAN: Final = "sfbulk.try1.plan0.0"

BAD_LEDGERS: Final[list[tuple[str, str, tuple[Any, ...], Any]]] = [
    # scene; key, whose digest is left out where it ends in a dot; place in the entry, what is there instead
    ("decided", LOAD, (), "x"),
    ("decided", LOAD, (), {}),
    ("decided", LOAD, ("load",), "1"),
    ("decided", LOAD, ("load",), 0),
    ("decided", LOAD, ("load",), 7),
    ("decided", LOAD, ("load",), 10**400),
    ("decided", LOAD, ("clears",), "x"),
    ("decided", LOAD, ("cleared",), []),
    ("decided", END, (), []),
    ("decided", END, ("plan",), GONE),
    ("decided", END, ("plan",), "x"),
    ("decided", END, ("parts",), 1),
    ("decided", END, ("parts",), 10**9),
    ("decided", END, ("parts",), -1),
    ("decided", END, ("parts",), []),
    ("decided", END, ("jobs",), GONE),
    ("decided", END, ("jobs",), []),
    ("decided", END, ("jobs",), {}),
    ("decided", END, ("jobs", 0), GONE),
    ("decided", END, ("jobs", 0), None),
    ("decided", END, ("jobs", 0), ["x"]),
    ("decided", END, ("jobs", 0, 0), None),
    ("decided", END, ("jobs", 0, 0), "../../sobjects"),
    ("decided", END, ("jobs", 0, 1), "2"),
    ("decided", END, ("part_bytes",), 0),
    ("decided", END, ("part_records",), "x"),
    ("decided", END, ("attempt",), GONE),
    ("decided", END, ("rule",), {"codes": 7}),
    ("decided", END, ("mode",), "x"),
    ("decided", END, ("files",), "x"),
    ("uploaded", "sfbulk.try1.0.0", (), "x"),
    ("uploaded", "sfbulk.try1.0.0", ("job_id",), GONE),
    ("uploaded", "sfbulk.try1.0.0", ("job_id",), "../.."),
    ("done", "sfbulk.try1.done", (), "x"),
    ("done", "sfbulk.try1.done", ("result",), GONE),
    ("done", "sfbulk.try1.done", ("result",), {}),
    ("done", "sfbulk.try1.done", ("result",), 7),
    ("done", "sfbulk.try1.done", ("result", "successful"), "x"),
    ("judged", END, ("files", 0), [7, "x"]),
    ("judged", END, ("files", 0), "x"),
    ("judged", "sfbulk.try1.verdict", (), 7),
    ("judged", "sfbulk.try1.verdict", ("round",), "x"),
    ("judged", "sfbulk.try1.verdict", ("try",), []),
    ("judged", "sfbulk.try1.taken", (), "x"),
    ("judged", "sfbulk.try1.taken", ("state",), GONE),
    ("judged", "sfbulk.try1.taken", ("state",), 7),
    ("classic", PLAN, (), "x"),
    ("classic", PLAN, ("parts",), []),
    ("classic", PLAN, ("parts",), 2),
    ("classic", PLAN, ("parts", 0), GONE),
    ("classic", PLAN, ("parts", 0, 3), None),
    ("classic", "sfbulk.try1.job0.0", ("job_id",), "../.."),
    ("classic", "sfbulk.try1.0.0", ("batch_id",), GONE),
    ("long", END, ("pieces",), "x"),
    ("long", END, ("pieces",), 1),
    ("long", END, ("pieces",), 10**9),
    ("long", "sfbulk.try1.end.0~0", (), None),
    ("long", "sfbulk.try1.end.0~1", (), {}),
    ("long", "sfbulk.try1.end.0~1", ("piece",), 7),
    ("old", "sfbulk.t1", (), "x"),
    ("old", "sfbulk.t1", ("load",), 9),
    ("old", "sfbulk.t1", ("plan",), "x"),
    ("old", "sfbulk.t1", ("plan", "source", 0), 7),
    ("old", "sfbulk.t1", ("end.0",), 7),
    ("old", "sfbulk.t1", ("end.0", "parts"), 10**9),
    ("old", "sfbulk.t1.0.0", (), "x"),
    ("old", "sfbulk.t1.0.0", ("0.0",), []),
    ("old", "sfbulk.t1.0.0", ("0.0", "job_id"), GONE),
    ("read", LOAD, ("load",), 7),
    ("read", "sfbulk.try1.0.0", (), "x"),
    ("read", "sfbulk.try1.0.0", ("job_id",), GONE),
    ("read", "sfbulk.try1.0.0", ("api_version",), "../.."),
    ("read", "sfbulk.try1.1.750LO0000000003YAA.header.0", ("row",), 7),
    ("read", "sfbulk.try1.1.750LO0000000003YAA.header.0", ("row",), GONE),
    ("read", "sfbulk.try1.1.", (), []),
    ("read", "sfbulk.try1.1.", ("records",), "x"),
    ("read", "sfbulk.try1.1.", ("locator",), []),
    ("read", "sfbulk.try1.1.", ("file",), 7),
    ("read", "sfbulk.try1.1.", ("file", "bytes"), GONE),
    ("read", "sfbulk.try1.1.", ("file", "bytes"), None),
    ("read", "sfbulk.try1.1.", ("file", "sha256"), GONE),
    ("windowed", "sfbulk.try1.window.", (), []),
    ("windowed", "sfbulk.try1.window.", ("since",), 7),
    ("windowed", "sfbulk.try1.window.", ("since",), "x"),
    ("windowed", "sfbulk.try1.window.", ("until",), GONE),
    ("windowed", "sfbulk.try1.window.", ("until",), None),
    ("classic_read", "sfbulk.try1.0b.0", (), "x"),
    ("classic_read", "sfbulk.try1.0b.0", ("batch_id",), GONE),
    ("classic_read", "sfbulk.try1.0b.0", ("batch_id",), []),
]


@pytest.mark.parametrize(
    ("scene", "key", "place", "value"),
    BAD_LEDGERS,
    ids=[f"{each[0]}-{each[1]}-{each[2]}" for each in BAD_LEDGERS],
)
def test_an_entry_that_is_none_of_ours_is_said_to_be_so(
    scene: str, key: str, place: tuple[Any, ...], value: Any, org: LocalOrg, tmp_path: Path
) -> None:
    made = SCENES[scene](org, tmp_path)
    whole = min(each for each in made.task.states if each == key or (key.endswith(".") and each.startswith(key)))
    made.edit(whole, place, copy.deepcopy(value) if value is not GONE else GONE)
    error = made.retry()
    assert type(error) is LedgerError, repr(error)
    check_shown(error)


@pytest.mark.parametrize("scene", SCENES)
def test_entries_as_they_were_written_are_gone_on_with(scene: str, org: LocalOrg, tmp_path: Path) -> None:
    error = SCENES[scene](org, tmp_path).retry()
    assert error is None or scene == "judged", repr(error)


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
@given(scene=st.sampled_from(sorted(SCENES)), data=st.data())
def test_whatever_is_in_an_entry_no_record_goes_twice_and_only_our_own_errors_come_out(
    scene: str, data: st.DataObject, org: LocalOrg, tmp_path: Path
) -> None:
    reset_secrets_masker()
    made = SCENES[scene](org, tmp_path)
    places = [(key, path) for key, path in made.places() if not key.endswith(".claim")]
    key, path = places[data.draw(st.integers(0, 10**6)) % len(places)]
    made.edit(key, path, data.draw(values if not path else st.just(GONE) | values))
    error = made.retry()
    if error is not None:
        check_shown(error)
