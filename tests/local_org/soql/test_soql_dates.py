"""Every relative date literal, seen from Wednesday, 4 March 2026, 05:06:07 UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from airflow_provider_sfbulk.local_org.soql.dates import span

NOW = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)

SPANS = {
    "YESTERDAY": ("2026-03-03", "2026-03-04"),
    "TODAY": ("2026-03-04", "2026-03-05"),
    "TOMORROW": ("2026-03-05", "2026-03-06"),
    "LAST_WEEK": ("2026-02-22", "2026-03-01"),
    "THIS_WEEK": ("2026-03-01", "2026-03-08"),
    "NEXT_WEEK": ("2026-03-08", "2026-03-15"),
    "LAST_MONTH": ("2026-02-01", "2026-03-01"),
    "THIS_MONTH": ("2026-03-01", "2026-04-01"),
    "NEXT_MONTH": ("2026-04-01", "2026-05-01"),
    "LAST_QUARTER": ("2025-10-01", "2026-01-01"),
    "THIS_QUARTER": ("2026-01-01", "2026-04-01"),
    "NEXT_QUARTER": ("2026-04-01", "2026-07-01"),
    "LAST_YEAR": ("2025-01-01", "2026-01-01"),
    "THIS_YEAR": ("2026-01-01", "2027-01-01"),
    "NEXT_YEAR": ("2027-01-01", "2028-01-01"),
    "LAST_FISCAL_QUARTER": ("2025-10-01", "2026-01-01"),
    "THIS_FISCAL_QUARTER": ("2026-01-01", "2026-04-01"),
    "NEXT_FISCAL_QUARTER": ("2026-04-01", "2026-07-01"),
    "LAST_FISCAL_YEAR": ("2025-01-01", "2026-01-01"),
    "THIS_FISCAL_YEAR": ("2026-01-01", "2027-01-01"),
    "NEXT_FISCAL_YEAR": ("2027-01-01", "2028-01-01"),
    "LAST_90_DAYS": ("2025-12-04", "2026-03-04T05:06:08"),
    "NEXT_90_DAYS": ("2026-03-05", "2026-06-03"),
    "LAST_N_DAYS:3": ("2026-03-01", "2026-03-04T05:06:08"),
    "LAST_N_DAYS:0": ("2026-03-04", "2026-03-04T05:06:08"),
    "NEXT_N_DAYS:3": ("2026-03-05", "2026-03-08"),
    "N_DAYS_AGO:3": ("2026-03-01", "2026-03-02"),
    "LAST_N_WEEKS:2": ("2026-02-15", "2026-03-01"),
    "NEXT_N_WEEKS:2": ("2026-03-08", "2026-03-22"),
    "N_WEEKS_AGO:2": ("2026-02-15", "2026-02-22"),
    "LAST_N_MONTHS:2": ("2026-01-01", "2026-03-01"),
    "NEXT_N_MONTHS:2": ("2026-04-01", "2026-06-01"),
    "N_MONTHS_AGO:14": ("2025-01-01", "2025-02-01"),
    "LAST_N_QUARTERS:2": ("2025-07-01", "2026-01-01"),
    "NEXT_N_QUARTERS:3": ("2026-04-01", "2027-01-01"),
    "N_QUARTERS_AGO:1": ("2025-10-01", "2026-01-01"),
    "LAST_N_YEARS:2": ("2024-01-01", "2026-01-01"),
    "NEXT_N_YEARS:1": ("2027-01-01", "2028-01-01"),
    "N_YEARS_AGO:3": ("2023-01-01", "2024-01-01"),
    "LAST_N_FISCAL_QUARTERS:2": ("2025-07-01", "2026-01-01"),
    "NEXT_N_FISCAL_QUARTERS:3": ("2026-04-01", "2027-01-01"),
    "N_FISCAL_QUARTERS_AGO:1": ("2025-10-01", "2026-01-01"),
    "LAST_N_FISCAL_YEARS:2": ("2024-01-01", "2026-01-01"),
    "NEXT_N_FISCAL_YEARS:1": ("2027-01-01", "2028-01-01"),
    "N_FISCAL_YEARS_AGO:3": ("2023-01-01", "2024-01-01"),
}


def spelled(literal: str) -> tuple[str, int | None]:
    name, _, count = literal.partition(":")
    return name, int(count) if count else None


@pytest.mark.parametrize("literal", SPANS)
def test_a_literal_spans_what_the_guide_says(literal: str) -> None:
    found = span(*spelled(literal), NOW)
    start, end = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in SPANS[literal])
    assert found is not None
    assert (found.start, found.end) == (start, end)


def test_for_a_date_field_the_last_days_include_today() -> None:
    found = span("last_n_days", 3, NOW)
    assert found is not None
    assert found.dates() == (date(2026, 3, 1), date(2026, 3, 5))


@pytest.mark.parametrize("day", range(1, 8))
def test_a_week_runs_from_sunday_to_saturday(day: int) -> None:
    found = span("THIS_WEEK", None, datetime(2026, 3, day, 23, 59, tzinfo=UTC))
    assert found is not None
    assert (found.start, found.end) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC))


def test_the_day_is_that_of_utc() -> None:
    found = span("TODAY", None, datetime(2026, 3, 4, 1, tzinfo=timezone(timedelta(hours=2))))
    assert found is not None
    assert found.start == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "literal", ["THIS_DAY", "LAST_DAYS", "LAST_N_DAYS", "TODAY:1", "LAST_N_DAYS_AGO:1", "N_DAYS:1", ""]
)
def test_what_is_no_literal_is_none(literal: str) -> None:
    assert span(*spelled(literal), NOW) is None
