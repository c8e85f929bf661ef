"""The command line: the only room that knows the terminal."""

from varsim.cli.app import main

__all__ = ["main"]
