"""The only adapter that moves and removes originals.

`renaming` has the primitives on open directories, `copying` what another file system needs; `standing`
and `volumes` tell what is there. `finisher` acts out journal rows with them, `markers` takes done-files
along, `returning` is `retry`'s way back, `tidying` removes folders that are empty by then.
"""

from hotfolder.adapters.finishing.finisher import Finisher, Places
from hotfolder.adapters.finishing.renaming import rehearse, rename_without_clobbering
from hotfolder.adapters.finishing.returning import hand_back
from hotfolder.adapters.finishing.tidying import tidy

__all__ = ["Finisher", "Places", "hand_back", "rehearse", "rename_without_clobbering", "tidy"]
