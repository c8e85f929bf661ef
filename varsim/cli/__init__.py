"""The command line: the only room that knows the terminal."""

import os

from varsim.compute import start_with_one_blas_thread


def main() -> None:
    """Run the command; an interrupt while it is still being loaded ends it quietly too."""
    start_with_one_blas_thread()
    try:
        from varsim.cli.app import main as run

        run()
    except KeyboardInterrupt:
        os._exit(130)
