"""Ending the process where threads hang: without them, as a kill would, which is safe at any point.

Each file is in its inbox, or its end is in the journal, and the next start goes on from there
(docs/architecture.md, the table of what is left where).
"""

import os
import sys
import threading

_EXIT_LEFT = 1


def leave_threads_behind() -> None:
    """End the process, if a store or a disk that hangs keeps threads of it that would be waited for.

    To be called when all is done: what such a thread still does is thrown away.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if not all(thread.daemon for thread in others):
        sys.stdout.flush()
        os._exit(0)


def end_after(seconds: float) -> None:
    """End the process by then, unless it ended by itself.

    From a thread: the loop itself may hang, in a write of the heartbeat to a disk that does.
    """
    last = threading.Timer(seconds, _end_now)
    last.daemon = True
    last.start()


def _end_now() -> None:
    os._exit(_EXIT_LEFT)
