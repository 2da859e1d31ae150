"""The rows of a data batch, whatever format they came in: columns of text, as the uploads of Bulk API 2.0 are read.

Results answer row by row in the order of the request, so rows that cannot be read keep their place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_sfbulk import limits


class BatchFailedError(Exception):
    """The batch cannot be worked on at all; the text becomes its ``stateMessage``."""


@dataclass
class Records:
    """Rows by column.

    :ivar header: names of the columns, as ``Name`` or ``Account.Ext_Key__c``
    :ivar columns: one list of texts per name, of the rows that can be read; empty where a row says nothing, ``#N/A``
        where it says null
    :ivar places: where each of these rows stood in the request, from 0
    :ivar unreadable: what is wrong with the others, by place
    """

    header: list[str]
    columns: list[list[str]]
    places: list[int]
    unreadable: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Rows of the request."""
        return len(self.places) + len(self.unreadable)


def check_count(count: int) -> None:
    """Refuse a batch of more than 10,000 records.

    The server counts one more than there are (simple-salesforce/simple-salesforce#325).

    :raises BatchFailedError: when there are more
    """
    if count > limits.BATCH_RECORDS:
        raise BatchFailedError(
            f"InvalidBatch : Exceeded number of records : {count + 1}. Number of records should be less than or equal "
            f"to {limits.BATCH_RECORDS + 1}"
        )
