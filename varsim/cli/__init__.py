"""The command line: the only room that knows the terminal."""

from varsim.cli.signals import signals


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
    except (ImportError, MemoryError) as error:
        reason = str(error).strip().rpartition("\n")[2] or "no memory"
        sys.exit(
            f"Error: varsim cannot be loaded ({reason}); give it more memory, or reinstall it."
        )
