"""What both drivers have: settings, a shared session, counted calls, and a way to be stopped."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.effects import Request, Sink, Sleep
from airflow_provider_sfbulk.client.errors import StoppedError
from airflow_provider_sfbulk.client.http.exchange import Meter, Receiver, head_of
from airflow_provider_sfbulk.client.http.time_limit import TimeLimit
from airflow_provider_sfbulk.client.protocol.org import ApiUsage
from airflow_provider_sfbulk.client.settings import Settings


class Driver:
    """Runs flows. Subclasses do the I/O."""

    def __init__(
        self, settings: Settings, session: Session | None, clock: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._session = session or Session(settings)
        self._clock = clock
        self._chance = chance
        self._meter = Meter()
        self._reason: StoppedError | None = None

    @property
    def settings(self) -> Settings:
        """The settings that it was made with."""
        return self._settings

    @property
    def api_version(self) -> str:
        """The version of all calls, such as ``"66.0"``."""
        return self._settings.api_version

    @property
    def calls(self) -> int:
        """API calls sent so far."""
        return self._meter.calls

    @property
    def usage(self) -> ApiUsage | None:
        """What Salesforce last reported about the org's API calls."""
        return self._meter.usage

    def stop(self, reason: str = "stopped") -> None:
        """End every running flow at its next effect, with ``StoppedError``. A call that is under way may finish.

        May be called from a signal handler and from other threads.
        """
        self._reason = StoppedError(reason)

    def _check(self) -> None:
        if self._reason is not None:
            raise copy.copy(self._reason)

    def _pause(self, effect: Sleep) -> float:
        return effect.seconds * (1.0 - effect.jitter * self._chance())

    def _begin(self, request: Request) -> TimeLimit:
        """Count a request that is about to be sent."""
        self._meter.sent(request)
        return TimeLimit(self._settings.timeout)

    def _receiver(
        self, request: Request, sink: Sink | None, status: int, headers: Mapping[str, str], time_limit: TimeLimit
    ) -> Receiver:
        """Take the head of a reply, and return what takes its body."""
        time_limit.head_received()
        head = self._session.unsaid(head_of(status, headers))
        self._meter.answered(request, head, time_limit.seconds)
        return Receiver(head, sink)
