"""``python -m varsim``."""

from varsim.cli import main

main()
