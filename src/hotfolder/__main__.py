"""`python -m hotfolder` is the command line."""

from hotfolder.cli import main

main()
