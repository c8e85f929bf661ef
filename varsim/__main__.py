"""``python -m varsim``."""

import sys
from pathlib import Path

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python puts the current folder first, where any file can have the name of a library's module.
    # Last it still serves a clone that is not installed.
    sys.path.append(sys.path.pop(0))
    if Path(__file__).parents[1] != Path(sys.path[-1]).resolve():
        sys.path.pop()

from varsim.cli import main

if __name__ == "__main__":  # a process of a cluster imports this again
    main()
