"""Reads paths of every kind: text, ``Path``, ``ObjectStoragePath`` and ``UPath``, on a disk or in object storage.

A text is a local path or a URI. ``file:`` URIs are percent-encoded, as ``Path.as_uri()`` writes them, so a name that does
not exist as written is decoded; object storage takes the names in URIs literally (like s3fs and the AWS command line). The
connection is given in the URI (``s3://conn_id@bucket/key``), by the object, or separately.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from airflow.sdk import BaseHook, ObjectStoragePath
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.io import attach, has_fs
from fsspec.implementations.local import LocalFileSystem
from upath import UPath

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.local_path import local_path, of_file_uri

AnyPath: TypeAlias = str | os.PathLike[str] | ObjectStoragePath | UPath

LOCAL: Final = frozenset({"", "file", "local"})

_KINDS: Final = (str, os.PathLike, UPath)

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_FOLDED: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/([^/].*)", re.DOTALL)
"""A URI after pathlib has folded its slashes."""

_SAME_STORAGE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("s3a", "s3n"), "s3"),
    "gcs": "gs",
    **dict.fromkeys(("abfss", "az", "adl", "wasb", "wasbs"), "abfs"),
}

_ADDRESSES: Final = ("endpoint_url", "endpoint", "host", "account_name", "account_host", "base_url")
"""Options that distinguish two storages of one kind."""

_VERSION: Final = "?versionId="
"""Behind a key, says which version of the object is meant."""

_VALUE: Final = re.compile("=[^/]*/")
"""The end of a folder's name in Hive's layout."""

_PACKAGES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "apache-airflow-providers-amazon[s3fs]"),
    **dict.fromkeys(("gs", "gcs"), "apache-airflow-providers-google[gcsfs]"),
    **dict.fromkeys(("abfs", "abfss", "adl"), "apache-airflow-providers-microsoft-azure"),
}


def is_path(value: object) -> bool:
    """Whether a value is a path of one of the kinds."""
    return isinstance(value, _KINDS)


def path_text(path: AnyPath) -> str:
    """Write a path as text, as it was given."""
    if isinstance(path, str):
        return path
    return os.fspath(path) if isinstance(path, os.PathLike) else str(path)


def without_folder_values(name: str) -> str:
    """Return the name of a file below an extract's folder for a message: the values that name its folders are cells."""
    return _VALUE.sub("=…/", name)


def rendered(path: AnyPath, text: str) -> AnyPath:
    """Make a path of the same kind from another text. Airflow itself renders only texts and ``ObjectStoragePath``."""
    kind: Any = type(path)
    options = path.storage_options if isinstance(path, UPath) else {}
    made: AnyPath = kind(text, **options)
    return made


@dataclass(frozen=True)
class Location:
    """A place in a file system.

    :param protocol: ``file`` for the local disk
    :param path: as the file system takes it
    :param conn_id: Airflow connection of the storage; None when there is none
    :param argument: of the operator, for messages
    """

    protocol: str
    path: str
    conn_id: str | None = None
    argument: str = field(default="source", compare=False)
    given_fs: Any = field(default=None, compare=False)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's disk."""
        return self.protocol == "file"

    @property
    def fs(self) -> Any:
        """The file system, made from Airflow's connection.

        :raises Exception: of the storage's own kind; see ``storage_errors``
        """
        if self.given_fs is None and self.is_local:
            # Airflow returns the same, but first it imports the file systems of all installed providers: half a second.
            return LocalFileSystem()
        return self.given_fs or attach(self.protocol, self.conn_id).fs

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def uri(self) -> str:
        """The path on this machine, or a URI that programs other than Airflow can open: without the connection."""
        return self.path if self.is_local else f"{self.protocol}://{self.path.lstrip('/')}"

    @property
    def airflow_uri(self) -> str:
        """The URI with the connection, as ``ObjectStoragePath`` writes it."""
        known = f"{self.conn_id}@" if self.conn_id else ""
        return self.path if self.is_local else f"{self.protocol}://{known}{self.path.lstrip('/')}"

    def at(self, path: str) -> Location:
        """Another path of the same file system."""
        return replace(self, path=path)

    def child(self, name: str) -> Location:
        """A file or folder in this folder."""
        return self.at(f"{self.path.rstrip('/')}/{name}")

    def resolved(self) -> tuple[str, str, str]:
        """Tell this place from others however they are spelled: storage, its address, and the path without detours."""
        if self.is_local:
            return "file", "", os.path.realpath(self.path)
        storage = _SAME_STORAGE.get(self.protocol, self.protocol)
        path = self.path.partition(_VERSION)[0]
        return storage, _address(self.fs), posixpath.normpath(f"/{path.lstrip('/')}")


def locate(path: AnyPath, *, conn_id: str | None = None, argument: str = "source") -> Location:
    """Find the place that a path names.

    :param conn_id: the connection given beside the path
    :param argument: of the operator, for messages
    :raises SourceError: it is not a path, or leads nowhere
    """
    if not is_path(path):
        raise SourceError(f"{argument} must be a path or URI, not a {type(path).__name__}")
    if isinstance(path, UPath) and str(path.protocol) not in LOCAL:
        found = _of_object(path, argument)
    else:
        found = _of_text(path_text(path), argument)
    if conn_id and found.conn_id and conn_id != found.conn_id:
        raise SourceError(
            f"{argument}: the URI {found.uri} names the connection {found.conn_id}, but the connection given beside it is "
            f"{conn_id}: leave one of them out"
        )
    if conn_id and not found.is_local:
        found = replace(found, conn_id=conn_id, given_fs=None)
    return found


def check_connection(place: Location) -> None:
    """Make sure that the connection exists: some storages would continue without it, anonymously.

    :raises SourceError: it does not
    """
    if place.conn_id:
        try:
            BaseHook.get_connection(place.conn_id)
        except AirflowNotFoundException as error:
            raise SourceError(f"{place.argument}: there is no connection {place.conn_id} for {place.uri}") from error


def _of_object(path: UPath, argument: str) -> Location:
    conn_id: str | None = getattr(path, "conn_id", None)
    protocol, inner = str(path.protocol), str(path.path)
    _check_user(conn_id, protocol, argument)
    bucket, _, _ = inner.lstrip("/").partition("/")
    if not bucket or bucket == f"{protocol}:":  # what ObjectStoragePath makes of s3://
        raise _no_bucket(protocol, argument)
    if isinstance(path, ObjectStoragePath) and has_fs(protocol):
        return Location(protocol, inner, conn_id, argument)
    return Location(protocol, inner, None, argument, given_fs=_own_fs(path, protocol, argument))


def _own_fs(path: UPath, protocol: str, argument: str) -> Any:
    try:
        return path.fs
    except (ImportError, ValueError) as error:
        raise _no_storage(protocol, argument) from error


def _of_text(text: str, argument: str) -> Location:
    if not text.strip():
        raise SourceError(f"{argument} is an empty string: was its template rendered from something empty?")
    if "\0" in text:
        raise SourceError(f"{argument}: a path cannot contain a NUL character")
    path = of_file_uri(text, what=argument)
    if path is not None:
        return Location("file", path, None, argument)
    matched = _SCHEME.fullmatch(text)
    if matched is None:
        return Location("file", _local_path(text, argument), None, argument)
    protocol, rest = matched[1].lower(), matched[2]
    authority, slash, key = rest.partition("/")
    user, at, bucket = authority.rpartition("@")
    _check_user(user, protocol, argument)
    if not bucket:
        raise _no_bucket(protocol, argument)
    if not has_fs(protocol):
        raise _no_storage(protocol, argument)
    return Location(protocol, f"{bucket}{slash}{key}".rstrip("/"), user if at and user else None, argument)


def _local_path(text: str, argument: str) -> str:
    folded = _FOLDED.fullmatch(text)
    if folded is not None and not Path(f"{folded[1]}:").exists():
        raise SourceError(
            f"{argument}: {folded[1]}:/{folded[2].rpartition('@')[2]} has one slash after the colon. Path folds the two "
            "of a URI: pass the URI as text or as ObjectStoragePath"
        )
    if "://" in text and not os.path.lexists(text):
        raise SourceError(
            f"{argument} has :// in it but does not begin with a scheme, as s3://bucket/key does: are there blanks "
            f"before it, or two URIs?"
        )
    return local_path(text, what=argument)


def _check_user(user: str | None, protocol: str, argument: str) -> None:
    if user and ":" in user:
        raise SourceError(
            f"{argument}: the {protocol}:// URI contains a user and a password. Keep them in an Airflow connection, and "
            f"name it in the URI ({protocol}://conn_id@bucket/…) or beside it"
        )


def _no_bucket(protocol: str, argument: str) -> SourceError:
    return SourceError(
        f"{argument}: the {protocol}:// URI names no bucket ({protocol}://bucket/…): was its template rendered from "
        "something empty?"
    )


def _no_storage(protocol: str, argument: str) -> SourceError:
    package = _PACKAGES.get(protocol)
    how = f"install {package}" if package else "check its spelling, or install the Airflow provider that brings it"
    return SourceError(f"{argument}: no storage {protocol}:// is installed here: {how}")


def _address(fs: Any) -> str:
    """Read the address that a file system was configured with, if it has one."""
    options: dict[str, Any] = dict(getattr(fs, "storage_options", None) or {})
    options |= getattr(fs, "client_kwargs", None) or {}
    options |= options.get("client_kwargs") or {}
    found = (getattr(fs, name, None) or options.get(name) for name in _ADDRESSES)
    return next((each.rstrip("/") for each in found if isinstance(each, str)), "")
