"""The arrows of DESIGN.md section 4, held by reading the source: who may import, and do, what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hotfolder

ROOT = Path(hotfolder.__file__).parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
CORE = [name for name in MODULES if name.startswith("core/")]
ADAPTERS = [name for name in MODULES if name.startswith("adapters/")]
CLI = [name for name in MODULES if name.startswith("cli/")]
#: The modules beside the folders that are not the pipeline, and what they are instead.
NOT_PIPELINE = {
    "__init__.py": "the version",
    "__main__.py": "starts the command line",
    "assembly.py": "makes the parts of a daemon",
    "app.py": "the composition root of what delivers",
    "beneath.py": "below the adapters",
    "destinations.py": "what the settings of a destination become",
    "engine.py": "the composition root of one delivery",
    "doctor.py": "the composition root of `check`",
    "durable.py": "below the adapters",
    "fastline.py": "below the adapters",
    "folder_rules.py": "what the settings of a folder become",
    "lines.py": "the composition root of the way to one destination",
    "packing_child.py": "the composition root of the process that packs small files",
    "rebuilding.py": "the composition root of what outlives a lost state.db",
    "sandbox.py": "the newcomer's run: a store and a configuration of its own",
    "seaweed.py": "starts the sandbox's store",
    "seaweed_ports.py": "the ports of the sandbox's store",
    "leash.py": "how the sandbox's store is started, and ends with it",
    "piece_memory.py": "below the adapters",
    "stuck.py": "below the adapters",
    "tcp.py": "below the adapters",
    "trees.py": "below the adapters",
    "surveying.py": "the composition root of a look at a store",
    "state_folder.py": "what stands in the state folder, opened as the settings say",
    "service.py": "the composition root of the daemon",
    "reloading.py": "what the service takes over of a new configuration, and rehearses",
}
PIPELINE = [name for name in MODULES if "/" not in name and name not in NOT_PIPELINE]

#: Each third-party package and the modules (or folders) that may know it. structlog: all but core.
HOMES = {
    "awscrt": ["adapters/crt.py"],
    "httptools": ["adapters/direct/connection.py"],
    "boto3": ["adapters/s3/"],
    "botocore": ["adapters/s3/"],
    "isal": ["adapters/compression.py", "adapters/ledger/rotation.py"],
    "orjson": ["fastline.py"],
    "keyring": ["adapters/safe.py"],
    "pathspec": ["adapters/filters.py"],
    "platformdirs": ["config/"],
    "pydantic": ["config/"],
    "pydantic_settings": ["config/"],
    "rich": ["cli/"],
    "sdnotify": ["adapters/systemd.py"],
    "structlog": [name for name in MODULES if name not in CORE],
    "tenacity": ["adapters/s3/"],
    "tomli_w": ["cli/", "sandbox.py"],  # the sandbox writes the configuration that it runs with
    "typer": ["cli/"],
    "types_boto3_s3": ["adapters/s3/"],  # types only
    "watchdog": ["adapters/watching/"],
    "zstandard": ["adapters/compression.py", "adapters/unpacking.py"],
}

#: What outside core every adapter may use: durable writes, lines of JSON, and paths that cannot escape.
BELOW_ADAPTERS = {
    *("hotfolder.core", "hotfolder.durable", "hotfolder.fastline", "hotfolder.beneath"),
    *("hotfolder.piece_memory", "hotfolder.stuck", "hotfolder.tcp", "hotfolder.trees"),
}

#: Who takes names away or gives new ones, and why.
NAMES = {
    "adapters/control.py": "takes the socket of a killed daemon away, and its own",
    "adapters/finishing/renaming.py": "moves and removes originals: the only adapter that may",
    "adapters/finishing/tidying.py": "removes folders that deliveries have emptied",
    "adapters/finishing/copying.py": "removes its own unfinished copies",
    "adapters/finishing/leftovers.py": "removes unfinished copies of killed runs",
    "adapters/ledger/rotation.py": "numbers the ledger's full files, and takes them away once packed",
    "adapters/spool/files.py": "clears packed files, which can be made again",
    "adapters/spool/keeping.py": "moves packed files out of the spool",
    "durable.py": "puts the new file in place of the old one, and clears its own temporary file",
    "seaweed.py": "clears the sandbox's own store",
    "seaweed_ports.py": "clears the sockets that it left behind",
}
#: Names of more than one public class, and why. Whoever reads one elsewhere must know which it is.
SHARED_NAMES = {
    "Keeper": "a port, and the adapter that is one",
    "Notifier": "a port, and the adapter that is one",
    "Table": "in TOML, and in SQLite",
    "Walks": "a port, and what is one",
    "Watcher": "a port, and the adapter that is one",
}
NAMING_CALLS = {
    *("rename", "renames", "unlink", "remove", "rmdir", "removedirs", "rmtree", "move", "link"),
    *("renameat2", "symlink", "symlink_to", "hardlink_to"),
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), filename=module)


@cache
def nodes(module: str) -> list[ast.AST]:
    return list(ast.walk(tree(module)))


@cache
def imports(module: str) -> frozenset[str]:
    """Every name that is imported, dotted; `from a import b` gives "a.b". Also inside functions."""
    found: set[str] = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide where they lead"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def packages(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


def own(module: str) -> set[str]:
    return {name for name in imports(module) if name.partition(".")[0] == "hotfolder"}


def leads_into(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def is_home(module: str, homes: list[str]) -> bool:
    return any(module == home or (home.endswith("/") and module.startswith(home)) for home in homes)


def attributes(module: str) -> Iterator[tuple[str, str]]:
    """Every `name.attribute` that is used, with the name it is taken from ("" where it is no name)."""
    for node in nodes(module):
        if isinstance(node, ast.Attribute):
            yield (node.value.id if isinstance(node.value, ast.Name) else ""), node.attr


def calls(module: str) -> Iterator[str]:
    """The last name of every call: `os.rename(...)` and `rename(...)` give "rename"."""
    for node in nodes(module):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr
            elif isinstance(node.func, ast.Name):
                yield node.func.id


def test_the_source_is_where_it_is_looked_for() -> None:
    assert {"app.py", "core/settle.py", "adapters/s3/store.py", "cli/__init__.py"} <= set(MODULES)
    assert {"delivery.py", "recorder.py", "finding.py", "gate.py", "budget.py"} <= set(PIPELINE)
    assert set(NOT_PIPELINE) <= set(MODULES)


@pytest.mark.parametrize("module", CORE)
def test_core_imports_only_the_standard_library_and_core(module: str) -> None:
    foreign = packages(module) - sys.stdlib_module_names - {"hotfolder"}
    assert not foreign
    assert {name for name in own(module) if not leads_into(name, "hotfolder.core")} == set()


@pytest.mark.parametrize("module", CORE)
def test_core_does_no_input_or_output_and_knows_no_clock(module: str) -> None:
    outside = {"asyncio", "logging", "random", "secrets", "shutil", "socket", "subprocess"}
    assert not packages(module) & (outside | {"tempfile", "threading", "time"})
    assert "open" not in set(calls(module))
    assert not {("datetime", "now"), ("dt", "now"), ("os", "environ")} & set(attributes(module))


@pytest.mark.parametrize("module", ADAPTERS)
def test_an_adapter_knows_core_and_never_another_adapter(module: str) -> None:
    # A folder below adapters/ is one adapter in several modules.
    itself = "hotfolder." + ".".join(module.removesuffix(".py").split("/")[:2])
    allowed = {*BELOW_ADAPTERS, itself}
    strangers = {name for name in own(module) if not any(leads_into(name, place) for place in allowed)}
    assert strangers == set()


@pytest.mark.parametrize("module", PIPELINE)
def test_the_pipeline_knows_neither_adapters_nor_settings(module: str) -> None:
    forbidden = ("hotfolder.adapters", "hotfolder.config", "hotfolder.app", "hotfolder.cli")
    assert not {name for name in own(module) if any(leads_into(name, place) for place in forbidden)}


@pytest.mark.parametrize("module", ["durable.py", "beneath.py", "stuck.py", "tcp.py", "trees.py"])
def test_what_lies_below_the_adapters_knows_only_core(module: str) -> None:
    known = ("hotfolder.core", *(["hotfolder.beneath"] if module in {"stuck.py", "trees.py"} else []))
    assert all(any(leads_into(name, place) for place in known) for name in own(module))
    assert packages(module) <= sys.stdlib_module_names | {"hotfolder"}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_the_command_line_but_itself(module: str) -> None:
    if module not in {*CLI, "__main__.py"}:
        assert not {name for name in own(module) if leads_into(name, "hotfolder.cli")}


@pytest.mark.parametrize("module", MODULES)
def test_every_third_party_package_stays_at_home(module: str) -> None:
    foreign = packages(module) - sys.stdlib_module_names - {"hotfolder"}
    assert foreign <= set(HOMES), "a package that nobody gave a home"
    assert {package for package in foreign if not is_home(module, HOMES[package])} == set()


@pytest.mark.parametrize("module", CLI)
def test_the_command_line_has_no_store_client_and_no_threads(module: str) -> None:
    assert not packages(module) & {"boto3", "botocore", "awscrt", "threading", "concurrent"}


@pytest.mark.parametrize("module", MODULES)
def test_only_the_settings_read_the_environment(module: str) -> None:
    reads = {name for _, name in attributes(module)} & {"environ", "environb", "getenv", "getenvb"}
    reads |= {name for name in imports(module) if name in {"os.environ", "os.getenv"}}
    assert not reads or module.startswith("config/")


@pytest.mark.parametrize("module", MODULES)
def test_only_finishing_gives_and_takes_the_names_of_files(module: str) -> None:
    # set.discard and dict.pop are used for collections, so that `remove` always is a file's.
    doing = set(calls(module)) & NAMING_CALLS
    if module in NAMES:
        return
    if module == "budget.py":
        doing.discard("remove")  # of a waiter from its queue: no file is in sight
    if module in {"commit.py", "restart.py", "adapters/finishing/markers.py"}:
        doing -= {"move", "remove"}  # the port's: asks `finisher` to do it
    assert not doing


def test_one_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for node in nodes(module):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert shared.keys() == SHARED_NAMES.keys(), shared


def test_every_exception_is_still_needed() -> None:
    for module in NAMES:
        assert set(calls(module)) & NAMING_CALLS, f"{module} names no files"
    for package, homes in HOMES.items():
        users = [module for module in MODULES if package in packages(module)]
        for home in homes:
            if package != "structlog":
                assert any(is_home(user, [home]) for user in users), f"{home} does not use {package}"


def test_what_takes_long_to_import_is_left_to_the_commands_that_deliver() -> None:
    code = "import sys, hotfolder.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "typer" in loaded
    assert not {"boto3", "botocore", "awscrt"} & set(loaded)


def test_the_process_that_packs_imports_no_event_loop() -> None:
    code = "import sys, hotfolder.packing_child; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "hotfolder.packed_file" in loaded
    assert not {"asyncio", "email", "ssl", "structlog"} & set(loaded)
