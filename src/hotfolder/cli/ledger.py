"""Commands about the ledger itself: ledger verify, rebuild."""

import json

import typer

from hotfolder.adapters.ledger import ChainBroken, verify_chain
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import out, say
from hotfolder.config import Settings
from hotfolder.state_folder import indexer, open_ledger

app = typer.Typer(help="Check the ledger, rebuild its index.", no_args_is_help=True)


@app.command()
def verify(
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Whether every line of every ledger file continues the chain.

    Names the first line that does not, and exits with 1: a line was changed, lost or damaged. The
    newest lines, which nothing continues, are compared with the index.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    try:
        checked = verify_chain(open_ledger(settings).path)
        _compare_with_index(settings)
    except ChainBroken as broken:
        if not as_json:
            raise
        where = {"file": str(broken.file), "line": broken.line or None, "why": str(broken)}
        _print_json({"holds": False, "broken": where})
        raise typer.Exit(1) from broken
    if as_json:
        told = {"lines": checked.lines, "files": checked.files, "torn_bytes": checked.torn}
        _print_json({"holds": True, **told})
        return
    say(f"{_count(checked.lines, 'line')} in {_count(checked.files, 'file')}, the chain holds")
    if checked.torn:
        say(f"behind them {checked.torn} bytes of a line that was cut off; the next append removes them")


@app.command()
def rebuild(
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Make the index of the ledger anew, from the ledger alone.

    The index is a cache in state.db: the daemon keeps it up to date by itself, and notices if it does
    not fit. It may run meanwhile.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    made = indexer(settings)
    count = made.rebuild()
    made.close()
    if as_json:
        _print_json({"lines": count})
    else:
        say(f"{_count(count, 'line')} in the index")


def _compare_with_index(settings: Settings) -> None:
    """Raises `ChainBroken` where the index has read lines that are not there any more."""
    ledger, state = open_ledger(settings).path, settings.state_dir / "state.db"
    if not state.exists():
        return
    made = indexer(settings)
    try:
        known = made.contradiction()
    finally:
        made.close()
    if known is not None:
        file = ledger.with_name(f"ledger-{known.file:06}.jsonl")
        raise ChainBroken(
            f"the index in {state} has read {known.lines:,} lines, and the last of them is gone: "
            "the newest lines were changed or taken away",
            file=file if file.exists() else ledger,
            line=0,
        )


def _print_json(told: dict[str, object]) -> None:
    out.file.write(json.dumps(told, indent=2) + "\n")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
