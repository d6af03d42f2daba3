"""`make demo`: hotfolder on real input, watched, and then proven file by file.

`inputs` makes what is dropped, `process` runs the sandbox, `progress` shows it, `proofs` fetches,
restores and compares everything, `table` words the result, `__main__` is the order of it all.
"""


class DemoFailed(Exception):
    """The demo ends here; the message is the sentence that says why."""
