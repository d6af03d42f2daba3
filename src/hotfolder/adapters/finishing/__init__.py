"""The only adapter that moves and removes originals.

`renaming` has the primitives on open directories, `copying` what another file system needs,
`finisher` acts out journal rows with them.
"""

from hotfolder.adapters.finishing.finisher import Finisher, Places
from hotfolder.adapters.finishing.renaming import rehearse, rename_without_clobbering

__all__ = ["Finisher", "Places", "rehearse", "rename_without_clobbering"]
