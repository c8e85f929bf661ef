"""What the bytes of a result depend on."""

from __future__ import annotations

import platform


def version_text() -> str:
    """Return the versions a reader needs to get the same bytes."""
    from varsim.compute.provenance import frameworks, kernels, packages
    from varsim.layer.sampling import BIT_GENERATOR

    known = packages() | kernels()
    return "\n".join(
        [
            f"varsim {known['varsim']}",
            f"Python {platform.python_version()} ({platform.machine()})",
            f"NumPy {known['NumPy']} (SIMD {known['SIMD']})",
            f"BLAS {known['BLAS']} ({known['BLAS kernels']} kernels)",
            f"bit generator {BIT_GENERATOR.__name__}",
            *(f"{name} {version}" for name, version in frameworks().items()),
        ]
    )
