"""The command line: the only room that knows the terminal."""

import os
import sys

from varsim.compute import start_with_one_blas_thread


def main() -> None:
    """Run the command; an interrupt while it is still being loaded ends it quietly too.

    So does a library that cannot be loaded, as without memory, with a sentence.
    """
    start_with_one_blas_thread()
    try:
        from varsim.cli.program import main as run

        run()
    except KeyboardInterrupt:
        os._exit(130)
    except (ImportError, MemoryError) as error:
        reason = str(error).strip().rpartition("\n")[2] or "no memory"
        sys.exit(
            f"Error: varsim cannot be loaded ({reason}); give it more memory, or reinstall it."
        )
