"""The only adapter that moves and removes originals.

`renaming` has the primitives on open directories, `copying` what another file system needs; `standing`
and `volumes` tell what is there. `finisher` acts out journal rows with them, `leftovers` finds what a
killed run left of a row, and `unsynced` owes both their fsyncs. `markers` takes done-files along,
`returning` is `retry`'s way back, `tidying` removes folders that are empty by then.
"""

from hotfolder.adapters.finishing.finisher import Finisher
from hotfolder.adapters.finishing.renaming import rehearse, rename_without_clobbering
from hotfolder.adapters.finishing.returning import hand_back
from hotfolder.adapters.finishing.roots import Roots
from hotfolder.adapters.finishing.tidying import tidy

__all__ = ["Finisher", "Roots", "hand_back", "rehearse", "rename_without_clobbering", "tidy"]
