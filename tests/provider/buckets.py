"""Looking into the bucket of the fixture ``s3``."""

from __future__ import annotations

from typing import Any

BUCKET = "extracts"


def names(s3: Any, folder: str) -> set[str]:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/").get("Contents", [])
    return {each["Key"].removeprefix(f"{folder}/") for each in found}


def read(s3: Any, uri: str) -> bytes:
    key = uri.partition(f"{BUCKET}/")[2]
    data: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return data


def unfinished(s3: Any) -> list[Any]:
    uploads: list[Any] = s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return uploads
