"""Certificates for https on loopback, made with openssl."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A CA of a test's own (`bundle`, PEM), and a server at `localhost` that it vouches for."""

    bundle: Path
    certificate: Path
    key: Path

    def tls(self) -> ssl.SSLContext:
        """What the server speaks."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_authority(folder: Path) -> Authority:
    folder.mkdir(parents=True)
    made = Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    ca_key, request, names = folder / "ca.key", folder / "server.csr", folder / "names"
    names.write_text("subjectAltName = DNS:localhost, DNS:*.localhost, IP:127.0.0.1\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        *("req", "-x509", "-days", "2", "-subj", "/CN=hotfolder test CA", *curve),
        *("-keyout", str(ca_key), "-out", str(made.bundle)),
    )
    _openssl(
        *("req", "-subj", "/CN=localhost", *curve, "-keyout", str(made.key), "-out", str(request)),
    )
    _openssl(
        *("x509", "-req", "-days", "2", "-in", str(request), "-extfile", str(names)),
        *("-CA", str(made.bundle), "-CAkey", str(ca_key), "-CAcreateserial"),
        *("-out", str(made.certificate)),
    )
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
