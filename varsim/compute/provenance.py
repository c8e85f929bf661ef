"""What the bytes of a result depend on, beside the experiment and its seed."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from varsim._version import __version__

FRAMEWORKS = ("torch", "jax", "keras")
"""Packages whose initializers can make W."""


@cache
def packages() -> dict[str, str]:
    """Return the versions of what computes: another one could change the numbers."""
    import numpy as np

    libraries = {f"{info['internal_api']} {info['version']}" for info in _blas()}
    blas = ", ".join(sorted(libraries)) or "unknown"
    return {"varsim": __version__, "NumPy": np.__version__, "BLAS": blas}


@cache
def kernels() -> dict[str, str]:
    """Return what packages choose by the CPU they find: it can change the last digits."""
    import numpy as np

    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    blas = ", ".join(sorted({str(info.get("architecture", "any")) for info in _blas()}))
    return {"SIMD": ", ".join(simd.get("found", [])) or "baseline", "BLAS kernels": blas}


def fingerprint() -> dict[str, str]:
    """Return all of it: where two machines have the same, they compute the same bytes.

    With the frameworks that this process has loaded, for their initializers.
    """
    loaded = {name: version for name, version in frameworks().items() if name in sys.modules}
    return packages() | kernels() | loaded


def offered() -> dict[str, str]:
    """Return what this machine can compute with: its fingerprint with all that is installed."""
    return packages() | kernels() | frameworks()


@cache
def frameworks() -> dict[str, str]:
    """Return the versions of the frameworks that are installed; none of them is loaded."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in FRAMEWORKS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _blas() -> list[dict[str, str]]:
    """Return NumPy's BLAS; frameworks bring others."""
    import numpy as np
    from threadpoolctl import threadpool_info

    found = [info for info in threadpool_info() if info["user_api"] == "blas"]
    folder = str(Path(np.__file__).parent)  # and its libraries are in numpy.libs beside it
    return [info for info in found if info["filepath"].startswith(folder)] or found
