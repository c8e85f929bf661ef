"""What the bytes of a result depend on."""

from __future__ import annotations

import platform


def version_text() -> str:
    """Return the versions a reader needs to get the same bytes."""
    import numpy as np
    from threadpoolctl import threadpool_info

    from varsim._version import __version__
    from varsim.sampling import BIT_GENERATOR

    blas = [
        f"{info['internal_api']} {info['version']} ({info.get('architecture', 'any')} kernels)"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return "\n".join(
        [
            f"varsim {__version__}",
            f"Python {platform.python_version()} ({platform.machine()})",
            f"NumPy {np.__version__} (SIMD {', '.join(simd.get('found', [])) or 'baseline'})",
            f"BLAS {', '.join(blas) or 'unknown'}",
            f"bit generator {BIT_GENERATOR.__name__}",
        ]
    )
