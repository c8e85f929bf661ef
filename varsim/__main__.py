"""``python -m varsim``."""

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python puts the current folder first, where any file can have the name of a library's module.
    # Last it still serves a clone that is not installed.
    sys.path.append(sys.path.pop(0))
    if os.path.dirname(os.path.dirname(__file__)) != os.path.realpath(sys.path[-1]):  # noqa: PTH120
        sys.path.pop()

from varsim.cli import main

if __name__ == "__main__":  # a process of a cluster imports this again
    main()
