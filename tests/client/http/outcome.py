"""What comes of a flow that a driver of the fixture ``make`` runs alone."""

from __future__ import annotations

from typing import Any


def one(driver: Any, flow: Any, **options: Any) -> Any:
    (result,) = driver.run(flow, **options)
    if isinstance(result, BaseException):
        raise result
    return result
