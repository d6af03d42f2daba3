"""hotfolder: the watch-folder daemon to trust with your only copy."""

__version__ = "0.1.0"
