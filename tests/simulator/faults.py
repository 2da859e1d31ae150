"""What may go wrong, by kind of effect.

==================  ================================================================================================
``kill_before``     the try's process ends before the effect
``kill_after``      it ends after the effect was applied and before it is told
``freeze``          the try stands still, is replaced, and wakes up (``frozen_*``: inside a call of the store)
``no_connection``   nothing was sent, and the client knows
``lost``            the request never arrives, and nobody knows
``reply_lost``      it was applied, and nobody knows
``late``            as ``lost``, but it is applied at some later time: its sender may be dead by then
``delayed``         the reply takes its time
``duplicate``       the network delivers the same bytes once more, later
``session_over``    the session ends before the request
``400`` … ``html``  such a reply, the request not applied; ``…_applied``: applied all the same
==================  ================================================================================================
"""

from __future__ import annotations

from typing import Final

from tests.simulator.model import ERROR_REPLIES
from tests.simulator.store import GET_FAULTS, SET_FAULTS
from tests.simulator.task import READ_FAULTS

_SENDING: Final = (
    *("kill_before", "kill_after", "freeze", "no_connection", "lost", "reply_lost", "late", "delayed", "duplicate"),
    *("session_over", *ERROR_REPLIES, "500_applied", "html_applied"),
)
_REQUESTS: Final = ("create", "upload", "close", "abort", "look")
FAULTS: Final = {
    **dict.fromkeys(_REQUESTS, _SENDING),
    "authorize": ("kill_before", "freeze", "no_connection"),
    "sleep": ("kill_before", "freeze", "skipped"),
    "now": ("kill_before", "freeze", "jump"),
    "together": ("kill_before", "freeze"),
    "get": GET_FAULTS,
    "set": SET_FAULTS,
    "read": READ_FAULTS,
    "outside": ("fail", "expire"),
}
"""Kinds of fault by kind of effect. ``read`` is the reading of the next part of the input."""

EVERY: Final = tuple((effect, kind) for effect, kinds in FAULTS.items() for kind in kinds)
"""All of them. Each schedule favours one, so that none stays untried."""
