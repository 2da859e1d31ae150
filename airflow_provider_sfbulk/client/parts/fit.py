"""Fits records to their object by its describe: checks and corrects the column names, and converts values to the fields'
types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_sfbulk.client.parts.columns import check_against_describe
from airflow_provider_sfbulk.client.parts.stream import RecordStream, Rules


def fit_to_object(stream: RecordStream, describe: Mapping[str, Any], rules: Rules) -> RecordStream:
    """Make a stream for an object.

    A relationship's column (``Owner.Email``) has no type: the other object's fields are not known here.

    :param describe: reply of ``GET /sobjects/<object>/describe``
    :raises SourceError: when the columns do not fit the object, and there is no ``rules.unfit``
    """
    columns = check_against_describe(
        stream.columns,
        describe,
        operation=rules.operation,
        external_id_field=rules.external_id_field,
        name=stream.name,
        is_csv=stream.is_csv and not rules.column_mapping,  # the first line has their names if it has come this far
        unfit=rules.unfit,
    )
    types = {str(field["name"]): str(field.get("type")) for field in describe.get("fields") or ()}
    return stream.with_columns(columns, [types.get(column) for column in columns])
