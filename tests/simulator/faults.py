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
``cut``             the body ends early and the connection's end tells; ``cut_unseen``: nothing tells
``rows_missing``    the last record is missing and the body looks whole
``other_header``    a header row of other columns
==================  ================================================================================================
"""

from __future__ import annotations

from typing import Final

from tests.simulator.salesforce.model import ERROR_REPLIES
from tests.simulator.task import READ_FAULTS
from tests.simulator.world.store import GET_FAULTS, SET_FAULTS

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
    "concurrently": ("kill_before", "freeze"),
    "get": GET_FAULTS,
    "set": SET_FAULTS,
    "read": READ_FAULTS,
    "outside": ("fail", "expire"),
}
"""Kinds of fault by kind of effect. ``read`` is the reading of the next part of the input."""

EVERY: Final = tuple((effect, kind) for effect, kinds in FAULTS.items() for kind in kinds)
"""All of them. Each schedule favours one, so that none stays untried."""

# --- whole operators ---

_FETCHING: Final = (
    *("kill_before", "kill_after", "freeze", "no_connection", "lost", "reply_lost", "delayed", "session_over"),
    *(kind for kind in ERROR_REPLIES if kind != "400"),
    *("cut", "cut_unseen", "rows_missing", "other_header"),
)
OPERATOR_FAULTS: Final = {
    **{effect: kinds for effect, kinds in FAULTS.items() if effect not in ("read", "outside")},
    "submit": _SENDING,
    "describe": tuple(kind for kind in _SENDING if kind not in ("late", "duplicate", "500_applied", "html_applied")),
    "list_pages": tuple(kind for kind in _SENDING if kind not in ("late", "duplicate", "500_applied", "html_applied")),
    "download": _FETCHING,
    "page": _FETCHING,
    "read": ("bad_input", "freeze", "kill_before"),
    "create_file": ("kill_before", "freeze", "error"),
    "write_file": ("error",),
    "commit_file": ("kill_before", "kill_after", "freeze", "error", "error_applied"),
    "read_file": ("kill_before", "freeze", "error"),
    "remove_file": ("kill_before", "kill_after", "freeze", "error"),
    "xcom": ("kill_before", "kill_after", "freeze", "error"),
    "open_source": ("kill_before", "freeze", "error"),
    "asset": ("kill_before", "kill_after", "freeze", "error"),
    "ask_state": ("kill_before", "freeze", "error"),
    "defer": ("kill_before", "not_stored"),
    "return": ("kill_before", "freeze", "not_stored"),
    "trigger_sleep": ("kill_before", "freeze"),
    "event": ("twice", "error", "timeout"),
    "outside": (
        *("fail", "fail_at_work", "expire", "deploy", "mark_failed", "clear", "stray_event", "edit", "retries"),
        *("late_triggerer", "month", "next_run", "touch", "one_more_file", "source_away", "upgrade", "api_version"),
    ),
    "success": ("clear", "forgotten"),
}
"""Kinds of fault of a whole operator, by kind of effect. ``write_file`` is no point where another process goes on.

``outside``: a job fails, perhaps while a batch of it works on, or is deleted at Salesforce; the worker is told to end
for a ``deploy``; a person marks the task as failed or clears it; a deferred task is woken by the event of an older
trigger; the DAG file is edited, so that later processes make another operator, or its ``retries`` are, or the
``api_version`` of the DAG file or of the connection is raised; a triggerer is late, another takes its trigger over, and
Airflow has the late one cancel its own; a month passes before a failed task is cleared, and what Airflow and Salesforce
keep for less is gone; another run of the task publishes its window; the files of the source are touched, one more comes
under its pattern, or once the load is decided they are out of reach for good; what the first try has written was written
by version 0.1.0 (``upgrade``). ``success``: the task is cleared after it, and what Airflow's setting
``clear_on_success`` has it forget is gone.
"""

OPERATOR_EVERY: Final = tuple((effect, kind) for effect, kinds in OPERATOR_FAULTS.items() for kind in kinds)
