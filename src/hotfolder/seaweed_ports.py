"""The ports of one SeaweedFS: free ones of its own choosing, and the same ones again after a restart."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from hotfolder.core.errors import LocalError

HOST = "127.0.0.1"
# The S3 gateway of SeaweedFS speaks plain S3; these are the servers that stand behind it.
_INNER = (
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
)
# The maintenance worker dials admin.port + 10000 whatever admin.port.grpc says.
_ADMIN_GRPC_OFFSET = 10_000


def choose_ports(remembered_in: Path, s3_port: int) -> dict[str, int]:
    """By the name of weed's option: those of the last run where they are still free, else new ones.

    The master's and the volume server's identities contain their ports. `s3_port` 0: any. Raises
    LocalError if it is taken.
    """
    remembered = _read(remembered_in)
    if remembered and s3_port in (0, remembered["s3.port"]):
        with contextlib.suppress(OSError), _reserved(remembered):
            sweep_sockets(remembered)  # of a run that was killed
            return remembered
    ports = _free(s3_port)
    remembered_in.write_text(json.dumps(ports), encoding="utf-8")
    return ports


def sweep_sockets(ports: Mapping[str, int]) -> None:
    """Take away what a server that has ended left of its Unix sockets."""
    # weed makes them in /tmp whatever TMPDIR says, and leaves some behind. The ports are ours, and so
    # these names are.
    for name, port in ports.items():
        server, _, kind = name.partition(".port")
        path = Path(f"/tmp/seaweedfs-{server}{kind.replace('.', '-')}-{port}.sock")  # noqa: S108
        path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, int]:
    try:
        ports = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # a first start, or a file torn by a crash: new ports do as well
    wanted = {"s3.port", "admin.port", "admin.port.grpc", *_INNER}
    return ports if isinstance(ports, dict) and set(ports) == wanted else {}


@contextlib.contextmanager
def _reserved(ports: Mapping[str, int]) -> Iterator[None]:
    """Hold all the ports for a moment. Raises OSError if one is taken."""
    with contextlib.ExitStack() as stack:
        for port in ports.values():
            stack.enter_context(_bound(port))
        yield


def _bound(port: int) -> socket.socket:
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Go does: TIME_WAIT is fine
        holder.bind((HOST, port))
    except OSError:
        holder.close()
        raise
    return holder


def _free(s3_port: int) -> dict[str, int]:
    """A free port for every server, all held at once so that none is given twice."""
    try:
        with contextlib.ExitStack() as stack:
            ports = {"s3.port": stack.enter_context(_bound(s3_port)).getsockname()[1]}
            for name in _INNER:
                ports[name] = stack.enter_context(_bound(0)).getsockname()[1]
            while "admin.port" not in ports:
                admin = stack.enter_context(_bound(0)).getsockname()[1]
                grpc = admin + _ADMIN_GRPC_OFFSET
                if grpc > 65_535:
                    continue
                with contextlib.suppress(OSError):  # taken: another pair of ports
                    stack.enter_context(_bound(grpc))
                    ports |= {"admin.port": admin, "admin.port.grpc": grpc}
    except OSError as error:
        raise LocalError(
            f"port {s3_port} of {HOST} cannot be taken: {error.strerror}",
            hint="choose another port for the embedded store, or leave it to hotfolder (0)",
        ) from error
    return ports
