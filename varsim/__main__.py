"""``python -m varsim``."""

from varsim.cli import main

if __name__ == "__main__":  # a process of a cluster imports this again
    main()
