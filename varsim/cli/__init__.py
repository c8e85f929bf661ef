"""The command line: the only room that knows the terminal."""

import os


def main() -> None:
    """Run the command; an interrupt while it is still being loaded ends it quietly too."""
    try:
        from varsim.cli.app import main as run

        run()
    except KeyboardInterrupt:
        os._exit(130)
