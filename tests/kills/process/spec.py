"""What the process under test is told. It imports no Airflow, as the tests' own process need not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

LINGER_SECONDS: Final = 10.0
"""How long a process that is to be killed waits at its end."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What one try is to do.

    :param operator: a key of ``OPERATORS``
    :param arguments: of the operator
    :param connection: of ``salesforce_bulk_default``, as Airflow's environment variable has it
    :param states: the folder of the task state store
    :param outcome: the file to write the outcome to; the log goes beside it
    :param halt: kind and number of one of its own steps, and the moment, to die or stop there
    :param lingers: seconds to wait at the end to be killed, since the kill may come that late
    """

    operator: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    connection: str
    states: str
    outcome: str
    try_number: int
    halt: tuple[str, int, str] | None = None
    lingers: float | None = None

    def to_json(self) -> str:
        """Write it on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))
