"""Checks before a load whether the disk for temporary files has enough space."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable

from airflow_provider_sfbulk.client.errors import StorageError
from airflow_provider_sfbulk.client.parts.split import MEMORY_BYTES
from airflow_provider_sfbulk.client.parts.temporary import folder

log = logging.getLogger(__name__)


def check_room(part_bytes: int, at_once: int, input_bytes: Callable[[], int | None]) -> None:
    """Check the space for the parts that are uploaded at the same time.

    :param part_bytes: maximum bytes of a part
    :param at_once: parts that are in temporary files at the same time
    :param input_bytes: returns the size of an input whose parts are together no larger, None when unknown; called only
        when space is short, since object storage needs a call for each file
    :raises StorageError: when there is certainly too little space. When the size of the input is unknown, this is only a
        warning: a load of parts up to 4 MB needs no space at all
    """
    needed, place = part_bytes * at_once, folder()
    free = shutil.disk_usage(place).free
    if part_bytes <= MEMORY_BYTES or free >= needed:
        return
    size = input_bytes()
    if size is not None:
        needed = min(needed, size)
        if needed <= MEMORY_BYTES or free >= needed:
            return
    text = (
        f"the folder for temporary files, {place}, has {_megabytes(free)} free, and this load needs "
        f"{'up to ' if size is None else ''}{_megabytes(needed)}: {at_once} parts of {_megabytes(part_bytes)} at most at "
        "the same time. Free space there, set TMPDIR to a folder with more, or lower max_concurrent_jobs or part_bytes"
    )
    if size is not None:
        raise StorageError(text)
    log.warning("%s", text)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
