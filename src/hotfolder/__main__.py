"""The program: `hotfolder`, and `python -m hotfolder`."""

import gc


def main() -> None:
    """Run the command line."""
    # Of what is imported nothing is garbage: looking for some takes an eighth of a start.
    gc.disable()
    from hotfolder.cli import main as command_line

    gc.freeze()
    # A file on its way is made of some hundred objects, and none of them is garbage in a circle. What
    # 256 such files come to must not set off the search for garbage each time they take off: that took
    # 30 us a file (with the 700 of old, a twelfth of the event loop's time), and 5 do now.
    gc.set_threshold(20_000)
    gc.enable()
    command_line()


if __name__ == "__main__":
    main()
