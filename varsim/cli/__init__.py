"""The command line: the only room that knows the terminal."""

from varsim.cli.signals import signals

_LONGEST_REASON = 300


def main() -> None:
    """Run the command and exit with its code.

    Signals end it from here on, and stdout is for data: whatever else writes to its descriptor
    writes to stderr. A library that cannot be loaded ends it with a sentence.
    """
    signals.install()
    import sys

    from varsim.compute import start_with_one_blas_thread

    start_with_one_blas_thread()
    try:
        from varsim.cli.program import main as run
        from varsim.cli.streams import reserve_stdout
        from varsim.usercode import refuse_leaving

        reserve_stdout()
        refuse_leaving()
        run()
    except Exception as error:
        # NumPy checks its environment when it is loaded, and raises errors of any class.
        if not isinstance(error, ImportError | MemoryError) and "numpy" in sys.modules:
            raise
        sys.exit(
            f"Error: varsim cannot be loaded ({_reason(error)}); give it more memory, correct "
            "what that names, or reinstall it."
        )


def _reason(error: Exception) -> str:
    """Return the message of an error, or its last line if it is an article."""
    message = str(error).strip().rstrip(".") or type(error).__name__
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_REASON else message.rpartition("\n")[2]
