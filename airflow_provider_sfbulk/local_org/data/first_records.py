"""What a new org has in it: its user with their profile, the organization and the standard price book."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data.standard_objects import standard_objects
from airflow_provider_sfbulk.local_org.data.store import blank_file, quoted


@cache
def _blank_file() -> bytes:
    return blank_file(standard_objects())


def lay_out(path: Path) -> None:
    """Make the file of a new org, unless it is there. Once in a process the tables are made, then they are copied:
    a test suite starts an org for each test."""
    if not path.exists():
        path.write_bytes(_blank_file())


def make(core: Core) -> None:
    """Make the records, unless the data file has them."""
    who = core.credentials
    if not core.store.select("SELECT 1 FROM Profile LIMIT 1"):
        (profile,) = core.store.new_ids("00e", 1)
        _insert(core, "Profile", Id=profile, Name="System Administrator", UserType="Standard")
    if not core.store.select("SELECT 1 FROM Pricebook2 WHERE IsStandard = 1 LIMIT 1"):
        (book,) = core.store.new_ids("01s", 1)
        _insert(core, "Pricebook2", Id=book, Name="Standard Price Book", IsActive=1, IsStandard=1)
    _insert(
        core,
        "Organization",
        Id=who.org_id,
        Name="Local Org",
        OrganizationType="Developer Edition",
        InstanceName="LOCAL",
        DefaultLocaleSidKey="en_US",
        LanguageLocaleKey="en_US",
        TimeZoneSidKey="GMT",
        FiscalYearStartMonth=1,
    )
    _insert(
        core,
        "User",
        Id=who.user_id,
        Username=who.username,
        FirstName="Local",
        LastName="Loader",
        Email=who.username,
        Alias="loader",
        CommunityNickname="loader",
        IsActive=1,
        UserType="Standard",
        TimeZoneSidKey="GMT",
        LocaleSidKey="en_US",
        EmailEncodingKey="UTF-8",
        LanguageLocaleKey="en_US",
        ProfileId=core.store.select("SELECT Id FROM Profile ORDER BY Id LIMIT 1")[0][0],
    )


def _insert(core: Core, sobject: str, **values: Any) -> None:
    now, user_id = clock.in_csv(core.clock.now()), core.credentials.user_id
    stamps = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), now)
    stamps |= dict.fromkeys(("CreatedById", "LastModifiedById"), user_id)
    values = {**values, **stamps}
    names = ", ".join(map(quoted, values))
    with core.store.writing() as connection:
        connection.execute(
            f"INSERT OR IGNORE INTO {quoted(sobject)} ({names}) VALUES ({', '.join('?' * len(values))})",  # noqa: S608 - names above
            tuple(values.values()),
        )
