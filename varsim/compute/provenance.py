"""Versions and CPU features, which the bytes of a result depend on."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from varsim import __version__
from varsim.compute import lazy

if TYPE_CHECKING:
    import numpy as np
    import threadpoolctl
else:
    np, threadpoolctl = lazy("numpy"), lazy("threadpoolctl")

FRAMEWORKS = ("torch", "jax", "keras", "flax")
"""Packages with initializers; :mod:`varsim.initializers` has an adapter for each."""


@cache
def packages() -> dict[str, str]:
    """Return the versions of the computing libraries; others can change the numbers."""
    libraries = {f"{info['internal_api']} {info['version']}" for info in _blas()}
    blas = ", ".join(sorted(libraries)) or "unknown"
    return {"varsim": __version__, "NumPy": np.__version__, "BLAS": blas}


@cache
def kernels() -> dict[str, str]:
    """Return the code paths that libraries choose by CPU; others can change the last digits."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    blas = ", ".join(sorted({str(info.get("architecture", "any")) for info in _blas()}))
    return {"SIMD": ", ".join(simd.get("found", [])) or "baseline", "BLAS kernels": blas}


def fingerprint() -> dict[str, str]:
    """Return packages, kernels and loaded frameworks: if they are equal, so are all bytes."""
    loaded = {name: version for name, version in frameworks().items() if name in sys.modules}
    return packages() | kernels() | loaded


def offered() -> dict[str, str]:
    """Return packages, kernels and all installed frameworks."""
    return packages() | kernels() | frameworks()


@cache
def frameworks() -> dict[str, str]:
    """Return the versions of the installed frameworks, without loading them."""
    versions = {name: version(name) for name in FRAMEWORKS}
    return {name: text for name, text in versions.items() if text is not None}


@cache
def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def version_text(bit_generator: str) -> str:
    """Return the versions that reproduce the same bytes, one per line."""
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
    folder = str(Path(np.__file__).parent)  # first, since it loads NumPy
    libraries = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"]
    # A wheel of NumPy has its libraries in numpy.libs beside the package.
    return [info for info in libraries if info["filepath"].startswith(folder)] or libraries
