"""What holds for every test of this folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Uploads fail by the thousand here, as they should."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
