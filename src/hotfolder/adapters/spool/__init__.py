"""The folder `spool/` of the state folder: packed files, each under its operation id."""
