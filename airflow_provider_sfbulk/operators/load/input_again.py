"""The input of a load that is decided, read again: the parts that a try kept, or else what the task's source gives now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.load.fingerprints import RowForm
from airflow_provider_sfbulk.client.load.outcome import Input
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.files.staging import Staging
from airflow_provider_sfbulk.task.ledger import input_changed

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.errors import InputChangedError
    from airflow_provider_sfbulk.client.load.rounds import ResendRule, Round
    from airflow_provider_sfbulk.client.parts.split import Part
    from airflow_provider_sfbulk.operators.load.arguments import LoadArguments
    from airflow_provider_sfbulk.operators.load.input import LoadInput
    from airflow_provider_sfbulk.operators.task_run import TaskRun

log = logging.getLogger(__name__)


class InputAgain:
    """Reads again what a load has sent.

    :param describe: gives the object's describe
    """

    def __init__(
        self,
        run: TaskRun,
        options: LoadArguments,
        source: LoadInput,
        describe: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._try = run
        self._ledger = run.ledger
        self._options = options
        self._input = source
        self._describe = describe

    @property
    def chosen(self) -> ChosenRows | None:
        """The rows that a decided load sends; None when it sends all of them."""
        compared = (self._ledger.decision or {}).get("compared")
        return None if compared is None else ChosenRows.from_dict(compared)

    def given(self, rounds: Sequence[Round], rule: ResendRule | None) -> Input:
        """Return how the input is read again.

        :param rule: of the round that is yet to be sent
        """
        chosen = self.chosen
        return Input(
            parts=lambda: self.parts(rounds[0]),
            form=partial(self._form, self.key_columns([*(each.rule for each in rounds), rule])),
            numbers=None if chosen is None else chosen.numbers,
        )

    def parts(self, first: Round) -> Generator[Part]:
        """Read again what was uploaded: the parts that were kept, or else the input."""
        staging = self.staging(first.attempt)
        kept = None if staging is None else staging.read()
        if staging is not None and kept is None:
            log.warning(
                "staging_path has no parts of try %s, which kept them there, so the input is read again. If that "
                "try ran on another worker, set staging_path to a place that all workers see",
                first.attempt,
            )
        return self._from_source(first) if kept is None else kept

    def check_unchanged(self, first: Round) -> None:
        """Compare records that a task before has given, maybe anew, with what was uploaded.

        :raises InputChangedError: when they are others
        """
        with closing(self._input.parts(self._describe(), first.cut, chosen=self.chosen)) as parts:
            for part, filled in zip_longest(parts, first.parts):
                if part is not None:
                    part.close()
                if part is None or filled is None or part.sha256 != filled.sha256:
                    raise self.changed()

    def changed(self) -> InputChangedError:
        """Return the error of a source that is another one now."""
        return input_changed(["source"], has_verdict=self._ledger.judged_round is not None)

    def key_columns(self, rules: Iterable[ResendRule | None]) -> tuple[str, ...]:
        """Return the user's key columns: those of the first round that chose records by them, whatever the task says now.

        By others, some records might be told apart that were not then, or the other way round, and that round would be
        another one when it is looked at again.

        :param rules: of the rounds so far
        """
        recorded = (rule.key_columns for rule in rules if rule is not None and rule.key_columns is not None)
        now = tuple(self._input.target(name) for name in self._options.key_columns)
        return next(recorded, now)

    def staging(self, attempt: int) -> Staging | None:
        """Return the folder of the parts that a try has uploaded; None when the user wants none kept."""
        path = self._options.staging_path
        if path is None:
            return None
        return Staging(path, self._try.ti, attempt, conn_id=self._options.staging_conn_id)

    def _from_source(self, first: Round) -> Generator[Part]:
        decision = self._ledger.decision
        assert decision is not None, "a round was decided"
        self._input.pin(decision.get("files"))
        with closing(self._input.parts(self._describe(), first.cut, first.parts, self.chosen)) as parts:
            yield from parts

    def _form(self, key_columns: Sequence[str], columns: Sequence[str]) -> RowForm:
        """Return how a record is identified: by its id where it has one, else by what the user names, else whole."""
        fields = {field["name"].casefold(): field["type"] for field in self._describe()["fields"]}
        return RowForm.of(columns, fields, key_columns or self._own_keys(columns))

    def _own_keys(self, columns: Sequence[str]) -> tuple[str, ...]:
        there = {column.casefold() for column in columns}
        own = self._options.external_id_field if self._options.operation == Operation.UPSERT else None
        return next(((name,) for name in (own, "Id") if name is not None and name.casefold() in there), ())
