"""The rounds of a load: which records are sent again, and by what rule.

Round 0 is the input. Every later round has records that were not saved: they failed with a temporary error (such as a
lock), they were never tried because their job ended ``Failed`` or ``Aborted``, or a user asked to send all failed
records again. A record that was saved is in no later round, so no row can be in the org twice.

The rule that chose a round's records is recorded with its decision, the records are not: the jobs and result files of
earlier rounds do not change at Salesforce, so the same rule always chooses the same records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Self

from airflow_provider_sfbulk.client.bulk1 import load as load1
from airflow_provider_sfbulk.client.effects import Flow, ReadEntry
from airflow_provider_sfbulk.client.errors import LedgerError
from airflow_provider_sfbulk.client.load.fill import DECISION, UploadedPart, recorded
from airflow_provider_sfbulk.client.models import ConcurrencyMode, JobInfo, JobState

REFUSED_INPUT: Final = ("InvalidBatch", "ClientInputError")
"""How Salesforce's message begins when a job failed for its header or format ("InvalidBatch : Field name not found : X",
"ClientInputError : LineEnding is invalid on user data"): the same bytes would fail again."""

DOUBT: Final = "BATCH_FAILED_PARTLY"
"""Code, ours, of records whose batch of Bulk API 1.0 failed when some of its records were saved, nobody can say which.
They are never sent again: they may be in the org."""


@dataclass(frozen=True, kw_only=True)
class ResendRule:
    """Which records are sent again.

    :param codes: failed ones with these of Salesforce's codes; None: all failed ones
    :param unprocessed: those that no job has tried, too
    :param refused: also where the job failed for its header or format: somebody says that the org has been put right
    :param sort_by: column that puts them in order, so that children of one parent lie together
    :param key_columns: the user's, by which their results were matched to rows; None when that was not recorded
    """

    codes: tuple[str, ...] | None
    unprocessed: bool = False
    refused: bool = False
    sort_by: str | None = None
    key_columns: tuple[str, ...] | None = None

    def takes(self, code: str) -> bool:
        """Whether a record that failed with this code is sent again."""
        return code != DOUBT and (self.codes is None or code in self.codes)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for the ledger."""
        codes = None if self.codes is None else list(self.codes)
        rule = {"codes": codes, "unprocessed": self.unprocessed, "sort_by": self.sort_by}
        keys = {} if self.key_columns is None else {"key_columns": list(self.key_columns)}
        return {**rule, **keys, **({"refused": True} if self.refused else {})}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what was recorded."""
        codes = None if value["codes"] is None else tuple(value["codes"])
        keys = value.get("key_columns")
        return cls(
            codes=codes,
            unprocessed=value["unprocessed"],
            refused=value.get("refused", False),
            sort_by=value["sort_by"],
            key_columns=None if keys is None else tuple(keys),
        )


@dataclass(frozen=True, kw_only=True)
class PartLimits:
    """How a round was cut into parts: when it is read again, it must be cut in the same way.

    :param part_bytes: of a part's CSV, at most
    :param part_records: of a part, at most
    """

    part_bytes: int
    part_records: int

    def __post_init__(self) -> None:
        if self.part_bytes < 1 or self.part_records < 1:
            raise ValueError("a part holds something")


@dataclass(frozen=True, kw_only=True)
class Round:
    """A decided round: its jobs may be closed, and nothing about it changes any more.

    :param number: 0 for the input
    :param parts: with their jobs, in order; by Bulk API 1.0 only those that were sent
    :param attempt: number of the try that decided it
    :param rule: what chose its records; None for the input
    :param mode: of a round that goes by Bulk API 1.0; None for one by 2.0
    :param planned: how many parts there are to be
    """

    number: int
    parts: tuple[UploadedPart, ...]
    attempt: int
    cut: PartLimits
    rule: ResendRule | None = None
    mode: ConcurrencyMode | None = None
    planned: int = 0

    @property
    def is_sent(self) -> bool:
        """Whether every part is at Salesforce."""
        return len(self.parts) >= self.planned

    @staticmethod
    def note(
        cut: PartLimits, *, attempt: int, rule: ResendRule | None = None, mode: ConcurrencyMode | None = None
    ) -> dict[str, Any]:
        """Return what is recorded with a round's decision, beside the number of its parts."""
        return {
            "attempt": attempt,
            "part_bytes": cut.part_bytes,
            "part_records": cut.part_records,
            **({} if rule is None else {"rule": rule.to_dict()}),
            **({} if mode is None else {"mode": str(mode)}),
        }

    @classmethod
    def of(cls, number: int, parts: Sequence[UploadedPart], note: Mapping[str, Any]) -> Self:
        """Make a round of its parts and of what is recorded with its decision.

        :raises LedgerError: when that is nothing
        """
        try:
            return cls(
                number=number,
                parts=tuple(parts),
                attempt=note["attempt"],
                cut=PartLimits(part_bytes=note["part_bytes"], part_records=note["part_records"]),
                rule=ResendRule.from_dict(note["rule"]) if "rule" in note else None,
                mode=ConcurrencyMode(note["mode"]) if "mode" in note else None,
                planned=note["parts"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(f"the ledger's entry for round {number} is not in this provider's format") from error


def recorded_rounds() -> Flow[list[Round]]:
    """Read all decided rounds from the ledger; none when the load is not decided."""
    found: list[Round] = []
    for number in count():
        decided = yield ReadEntry(f"{DECISION}{number}")
        if decided is None:
            return found
        of_its_api = load1.recorded if "mode" in decided else recorded
        found.append(Round.of(number, (yield from of_its_api(number)), decided))
    raise AssertionError("unreachable: the count has no end")


def is_refused_input(job: JobInfo) -> bool:
    """Whether a job failed for its header or its format."""
    return job.state is JobState.FAILED and (job.error_message or "").lstrip().startswith(REFUSED_INPUT)
