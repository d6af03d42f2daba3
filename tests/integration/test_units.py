"""The systemd files as systemd itself reads them; e2e/test_systemd.py runs them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
_SERVICES = ("hotfolder.service", "hotfolder@.service")
_MOST_EXPOSURE = 15  # tenths, of 100


@pytest.fixture
def analyze(tmp_path: Path) -> Path:
    """A copy of the units that starts what is on every machine; skips where systemd-analyze is not."""
    if shutil.which("systemd-analyze") is None:
        assert "REQUIRE_SYSTEMD" not in os.environ, "systemd-analyze is missing here"
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    for name in _SERVICES:
        text = re.sub(r"(?m)^(Exec\w+)=\S+", r"\1=/bin/true", (UNITS / name).read_text())
        (tmp_path / name).write_text(text)
    return tmp_path


def systemd(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", _SERVICES)
def test_systemd_finds_nothing_to_say(analyze: Path, name: str) -> None:
    # A misspelt key is only a warning, with exit code 0: whatever is printed is a fault.
    done = systemd("systemd-analyze", "verify", str(analyze / name))
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_a_misspelt_key_would_be_seen(analyze: Path) -> None:
    unit = analyze / "hotfolder.service"
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClok="))
    assert "ProtectClok" in systemd("systemd-analyze", "verify", str(unit)).stderr


@pytest.mark.parametrize("name", _SERVICES)
def test_exposure_is_low(analyze: Path, name: str) -> None:
    command = ("systemd-analyze", "security", "--offline=true", "--no-pager")
    done = systemd(*command, f"--threshold={_MOST_EXPOSURE}", str(analyze / name))
    assert done.returncode == 0, done.stdout


def test_the_template_differs_only_in_names() -> None:
    single, template = (directives(UNITS / name) for name in _SERVICES)
    for mine, theirs in zip(single, template, strict=True):
        assert theirs in {
            mine,
            mine.replace("/hotfolder.toml", "/%i.toml"),
            mine.replace("StateDirectory=hotfolder", "StateDirectory=hotfolder/%i"),
            mine.replace("/s3.credentials", "/%i.credentials"),
            mine.replace("an inbox folder", "the folders of %i"),
        }


def test_there_is_one_writable_parent_and_one_capability() -> None:
    lines = directives(UNITS / "hotfolder.service")
    assert [line for line in lines if line.startswith("ReadWritePaths=")] == [
        "ReadWritePaths=/srv/hotfolder"
    ]
    assert {line for line in lines if "CAP_" in line} == {
        "AmbientCapabilities=CAP_LEASE",
        "CapabilityBoundingSet=CAP_LEASE",
    }


def directives(unit: Path) -> list[str]:
    """Every directive, those that are only suggested included."""
    return re.findall(r"(?m)^#?[A-Z]\w+=.*$", unit.read_text())
