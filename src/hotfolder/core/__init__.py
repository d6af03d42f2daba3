"""The pure core: decisions as functions and values. Standard library only; no I/O, no clock."""
