"""Files that could start while nothing is on its way, and no reason is known: told as what is stuck.

No outage, pause, window or disk explains it, so a defect of ours must: a place that nobody gave back, a
file that nobody looks at any more. To begin anew finds each file, so a service manager may do that.
"""

from collections.abc import Callable
from dataclasses import replace

from hotfolder.activity import Activity
from hotfolder.core.pulse import Step
from hotfolder.inboxes import Inboxes

_COUNTED = 60.0  # seconds after which the words stay as they are: what is told is told once


class Idling:
    """Asked every few seconds. `clock` is monotonic seconds."""

    def __init__(self, inboxes: Inboxes, activity: Activity, clock: Callable[[], float]) -> None:
        self._inboxes, self._activity, self._clock = inboxes, activity, clock
        self._told: dict[str, Step] = {}  # by folder, since it was first seen

    def steps(self) -> list[Step]:
        """One for each folder that stands still; what it knows and what holds its places, in words."""
        told, self._told = self._told, {}
        now = self._clock()
        for folder in () if self._activity.flights else self._inboxes.present():
            name, what = folder.intake.plan.name, folder.intake.unexplained()
            if what is not None:
                step = told.get(name) or Step("intake", "", now)
                if now - step.alive_at < _COUNTED:
                    step = replace(step, about=f"{folder.intake.inbox}: {what}")
                self._told[name] = step
        return list(self._told.values())
