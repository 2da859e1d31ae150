"""Converts errors of disks and object storage into this package's errors: what was tried, where, for which argument."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from airflow.sdk.exceptions import AirflowNotFoundException, AirflowOptionalProviderFeatureException

from airflow_provider_sfbulk.client.errors import SfBulkError, SourceError, StorageError
from airflow_provider_sfbulk.files.paths import Location

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LASTING: Final = frozenset(
    {errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL}
)

_REFUSED: Final = (
    "AccessDenied",
    "Forbidden",
    "403",
    "401",
    "Unauthorized",
    "Authorization",
    "Credential",
    "AccessKey",
)
"""Parts of the code or class of a storage's error that mean: the login or its permissions are wrong."""

_ABSENT: Final = ("NoSuchBucket", "BucketNotFound", "ContainerNotFound", "InvalidBucketName", "ParamValidation")


@contextmanager
def named(what: str, place: Location) -> Iterator[None]:
    """Convert the errors of a storage.

    :param what: what is tried, such as "read" or "write to"
    :raises SourceError: it cannot succeed before somebody changes something
    :raises StorageError: the same may work later
    """
    try:
        yield
    except SfBulkError:
        raise
    except Exception as error:  # each storage has errors of its own, by packages that need not be installed here
        raise converted(error, what, place) from error


def converted(error: Exception, what: str, place: Location) -> SfBulkError:
    """Return the error to raise; see :func:`named`."""
    where = f"{place.argument}: could not {what} {place.uri}"
    if place.conn_id:
        where += f" with connection {place.conn_id}"
    kind, why = _judged(error, code_of(error), place)
    return kind(f"{where}: {why}")


def _judged(error: Exception, code: str, place: Location) -> tuple[type[SfBulkError], str]:
    """Return whether the same may work later, what is wrong and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    kind: type[SfBulkError] = SourceError
    if isinstance(error, AirflowNotFoundException):
        why = "the connection is not defined"
    elif isinstance(error, (ImportError, AirflowOptionalProviderFeatureException)):
        why = f"a package that this storage needs is not installed ({getattr(error, 'name', None) or code})"
    elif number in _FULL:
        kind = StorageError
        why = f"no space is left there ({code}). Nothing half-written is visible; free space, and a retry continues"
    elif isinstance(error, PermissionError) or any(each in code for each in _REFUSED):
        whose = (
            "the worker's user on that path" if place.is_local else "the connection: to list, read, write and delete"
        )
        why = f"permission denied ({code}). Check the permissions of {whose}"
    elif any(each in code for each in _ABSENT) or "bucket does not exist" in str(error):
        why = f"the bucket does not exist ({code}). Check its name and the connection's address"
    elif isinstance(error, FileNotFoundError):
        kind = StorageError
        why = f"it does not exist ({code}). Has another process removed it?"
    elif number in _LASTING or isinstance(error, ValueError):
        why = f"{code}. Check the path"
    else:
        kind = StorageError
        why = f"{code}. A retry tries again; if it fails for the same reason, check the address and the connection"
    return kind, why


def code_of(error: BaseException) -> str:
    """Name an error by its class and code, without its message, which may quote its input."""
    kind = type(error).__name__
    response = getattr(error, "response", None)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):  # botocore's ClientError
        return f"{kind} {str(response['Error'].get('Code', ''))[:60]}"
    for name in ("error_code", "code", "status_code", "status"):
        known = getattr(error, name, None)
        if isinstance(known, (str, int)) and known:
            return f"{kind} {str(known)[:60]}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind} {errno.errorcode.get(error.errno, error.errno)}"
    return kind
