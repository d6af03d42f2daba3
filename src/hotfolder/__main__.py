"""The program: `hotfolder`, and `python -m hotfolder`."""

import gc


def main() -> None:
    """Run the command line."""
    # Of what is imported nothing is garbage: looking for some takes an eighth of a start.
    gc.disable()
    from hotfolder.cli import main as command_line

    gc.freeze()
    gc.enable()
    command_line()


if __name__ == "__main__":
    main()
