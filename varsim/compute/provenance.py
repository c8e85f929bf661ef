"""Versions and CPU features that the bytes of a result depend on."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path

from varsim import __version__
from varsim.compute import lazy

FRAMEWORKS = ("torch", "jax", "keras")
"""Packages with initializers; :mod:`varsim.initializers` has an adapter for each."""

np, threadpoolctl = lazy("numpy"), lazy("threadpoolctl")


@cache
def packages() -> dict[str, str]:
    """Return the versions of the libraries that compute; others can change the numbers."""
    libraries = {f"{info['internal_api']} {info['version']}" for info in _blas()}
    blas = ", ".join(sorted(libraries)) or "unknown"
    return {"varsim": __version__, "NumPy": np.__version__, "BLAS": blas}


@cache
def kernels() -> dict[str, str]:
    """Return what libraries choose by CPU; it can change the last digits."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    blas = ", ".join(sorted({str(info.get("architecture", "any")) for info in _blas()}))
    return {"SIMD": ", ".join(simd.get("found", [])) or "baseline", "BLAS kernels": blas}


def fingerprint() -> dict[str, str]:
    """Return packages, kernels, and loaded frameworks: where they are equal, so are all bytes."""
    loaded = {name: version for name, version in frameworks().items() if name in sys.modules}
    return packages() | kernels() | loaded


def offered() -> dict[str, str]:
    """Return packages, kernels, and all frameworks that are installed."""
    return packages() | kernels() | frameworks()


@cache
def frameworks() -> dict[str, str]:
    """Return the versions of the installed frameworks, without loading them."""
    return {name: found for name in FRAMEWORKS if (found := version(name)) is not None}


@cache
def version(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def version_text(bit_generator: str) -> str:
    """Return the versions that a reader needs to get the same bytes, one per line."""
    known = packages() | kernels()
    return "\n".join(
        [
            f"varsim {known['varsim']}",
            f"Python {platform.python_version()} ({platform.machine()})",
            f"NumPy {known['NumPy']} (SIMD {known['SIMD']})",
            f"BLAS {known['BLAS']} ({known['BLAS kernels']} kernels)",
            f"bit generator {bit_generator}",
            *(f"{name} {version}" for name, version in frameworks().items()),
        ]
    )


def _blas() -> list[dict[str, str]]:
    """Return NumPy's BLAS libraries; frameworks load others."""
    folder = str(Path(np.__file__).parent)  # before the look-up: NumPy must be loaded
    libraries = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"]
    # A wheel of NumPy has its libraries in numpy.libs beside the package.
    return [info for info in libraries if info["filepath"].startswith(folder)] or libraries
