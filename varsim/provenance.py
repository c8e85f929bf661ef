"""What the bytes of a result depend on, beside the experiment and its seed."""

from __future__ import annotations

from functools import cache

from varsim._version import __version__


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
    """Return all of it: where two machines have the same, they compute the same bytes."""
    return packages() | kernels()


def _blas() -> list[dict[str, str]]:
    import numpy as np  # noqa: F401  # its BLAS must be loaded to be found
    from threadpoolctl import threadpool_info

    return [info for info in threadpool_info() if info["user_api"] == "blas"]
