"""Computing: threads, processes and clusters, random streams, memory, versions."""

from varsim.compute.blas import (
    OneThread,
    limit_blas,
    loaded_libraries,
    one_blas_thread,
    start_with_one_blas_thread,
)
from varsim.compute.doors import lazy
from varsim.compute.mapper import (
    ComputeError,
    Executor,
    Mapper,
    Task,
    check_workers,
    interruptible,
    local,
    ordered_map,
    out_of_resources,
    threads,
    wait_awake,
)

__all__ = [
    "ComputeError", "Executor", "Mapper", "OneThread", "Task", "check_workers", "interruptible",
    "lazy", "limit_blas", "loaded_libraries", "local", "one_blas_thread", "ordered_map",
    "out_of_resources", "start_with_one_blas_thread", "threads", "wait_awake",
]  # fmt: skip
