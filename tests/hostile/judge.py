"""What must come out, whatever came in: a result or one of this package's own errors, soon, and fit to be shown."""

from __future__ import annotations

import pickle
import re
import time
import traceback
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.client.replies.safe_text import MESSAGE_CHARACTERS
from tests.hostile.ways import APP, WAYS

SECONDS: Final = 30.0
"""Of work for one case at most: a machine that is busy with others makes it no longer."""

SECRETS: Final = (APP["client_secret"], APP["password"], "R3freshToken")
FOLDED: Final = [
    found
    for each in SECRETS
    for found in (re.sub(r"[^0-9a-z]", "", each.lower()), each.encode().hex(), each.upper().encode().hex())
]
"""The same without case and what is no letter, and in hex."""


def judged(way: str, *given: Any) -> SfBulkError | None:
    """Let something come in; give the error that comes out.

    :raises AssertionError: it is none of ours, cannot be shown, shows a secret, or took too long
    """
    begun = time.process_time()
    try:
        WAYS[way](*given)
        found = None
    except SfBulkError as error:
        found = error
    except RecursionError as error:
        raise AssertionError("too deep") from error
    except Exception as error:
        raise AssertionError(f"a foreign error: {type(error).__name__}") from error
    assert time.process_time() - begun < SECONDS
    if found is not None:
        check_shown(found)
    return found


def check_shown(error: SfBulkError) -> None:
    """Check that an error can be shown to anybody."""
    text = str(error)
    assert 0 < len(text) <= MESSAGE_CHARACTERS
    assert all(each.isprintable() or each == "\n" for each in text)
    everything = "".join([*traceback.format_exception(error), repr(vars(error))])
    assert not [secret for secret in SECRETS if secret in everything]
    folded = re.sub(r"[^0-9a-z]", "", everything.lower())
    assert not [found for found in FOLDED if found in folded]
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(error, type(again)), "a lasting error is of its kind, and of Airflow's that no retry follows"
    assert str(again) == text
