"""What the doctor finds about how files of an inbox become whole, decided from plain values."""

from collections.abc import Collection

from hotfolder.core.checkup import Finding, State, as_span, counted
from hotfolder.core.settle import Ready, Writer


def settling_finding(
    name: str,
    path: str,
    asked: Collection[Writer],
    *,
    network: str | None,
    ready: Ready,
    settle: float,
) -> Finding:
    """Whether anybody can tell that a program writes to a file: `asked` of some that wait.

    `network`: the type of the network file system that the inbox is on, or None.
    """
    unknown = sum(writer is Writer.UNKNOWN for writer in asked)
    if not unknown and network is None:
        return Finding(name, State.OK, f"what a program writes to {path} is left until it is closed")
    where = f"of {counted(unknown, 'file')} in {path}" if unknown else f"on {network} (the inbox {path})"
    what = f"whether a program writes cannot be asked {where}: "
    what += f"whole is what is quiet for {as_span(settle)}"
    fix = "let `settle` be longer than any pause of a writer"
    if network is None:
        fix += ", or give hotfolder CAP_LEASE, as its unit does: the files are another user's"
    if ready is Ready.CLOSED:
        return Finding(name, State.WARNING, f'{what}, although ready is "closed"', fix)
    return Finding(name, State.OK, what)
