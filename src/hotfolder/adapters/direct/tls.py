"""What connecting needs of TLS, and what its failures are in the words of `core.refusals`."""

import os
import socket
import ssl
from pathlib import Path

from hotfolder.core.refusals import Answer, Fault

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")  # OpenSSL's names of what is no TLS at all


def open_trust(bundle: Path) -> ssl.SSLContext:
    """A context that trusts the CAs in `bundle`; blocks. Raises OSError, of which SSLError is one."""
    context = ssl.create_default_context(cafile=str(bundle))
    context.set_alpn_protocols(["http/1.1"])
    return context


def unreadable(bundle: Path, error: OSError) -> Answer:
    """No request was sent, as nobody can be trusted."""
    why = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
    return Answer(0, fault=Fault.TLS, detail=f"cannot read {bundle}: {why}")


def unconnected(origin: str, error: OSError) -> Answer:
    """No request was sent, as no connection came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Answer(0, fault=Fault.TLS, detail=f"{origin}: {error.verify_message}")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Answer(0, fault=Fault.CUT, detail=f"{origin}: closed while TLS was begun")
    if isinstance(error, ssl.SSLError):
        fault = Fault.NO_TLS if (error.reason or "").upper() in _NO_TLS else Fault.TLS
        return Answer(0, fault=fault, detail=f"{origin}: {error.reason or error}")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Answer(0, fault=Fault.CUT, detail=f"{origin}: {error.strerror or 'connection lost'}")
    # The event loop puts sentences of its own around a plain number.
    plain = error.errno is not None and not isinstance(error, socket.gaierror)
    why = os.strerror(error.errno) if plain and error.errno else error.strerror or str(error)
    return Answer(0, fault=Fault.NO_CONNECTION, detail=f"{origin}: {why}")
