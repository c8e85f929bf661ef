"""Computing: threads, processes and clusters, random streams, memory, and versions."""

from varsim.compute.blas import (
    OneThread,
    limit_blas,
    loaded_libraries,
    one_blas_thread,
    start_with_one_blas_thread,
)
from varsim.compute.doors import lazy
from varsim.compute.mapper import (
    AwakeExecutor,
    ComputeError,
    EqualJobs,
    Executor,
    Jobs,
    Map,
    Mapper,
    Task,
    check_workers,
    interruptible,
    local,
    ordered_map,
    out_of_resources,
    threads,
)

__all__ = [
    "AwakeExecutor", "ComputeError", "EqualJobs", "Executor", "Jobs", "Map", "Mapper", "OneThread",
    "Task", "check_workers", "interruptible", "lazy", "limit_blas", "loaded_libraries", "local",
    "one_blas_thread", "ordered_map", "out_of_resources", "start_with_one_blas_thread", "threads",
]  # fmt: skip
