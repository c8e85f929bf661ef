"""The same bytes for any number of workers: on threads, in processes and on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.program import environment
from tests.rows import LARGER, STUDIES, numbers_of, records, rows, totals_of
from tests.runs import Ahead, run_of, seeded
from varsim.compute import Mapper, threads

ROOT = Path(__file__).parents[2]


def measured(mappers: AbstractContextManager[Mapper]) -> dict[str, list[str]]:
    """The rows of all studies, measured as the rows of one run."""
    with mappers as mapper:
        outcome = run_of(list(STUDIES.values()), mapper)
    assert outcome.failure is None, outcome.failure
    return dict(zip(STUDIES, map(records, outcome.groups), strict=True))


def alone() -> dict[str, list[str]]:
    """The rows of all studies, each measured alone, one replicate after the other."""
    return {name: records(rows(name)) for name in STUDIES}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Mapper]:
    """The mapper of a cluster of two processes on this machine."""
    pytest.importorskip("distributed", reason="the extra varsim[cluster] is not installed")
    from varsim.compute import cluster

    with cluster.cluster("local", 2) as mapper:
        yield mapper


MAPPERS: dict[str, Callable[[], AbstractContextManager[Mapper]]] = {
    "one thread": lambda: threads(1),
    "two threads": lambda: threads(2),
    "three threads": lambda: threads(3),
    "seven ahead": lambda: nullcontext(Ahead(7)),
    "all ahead": lambda: nullcontext(Ahead(10**6)),
}


@pytest.mark.parametrize("workers", MAPPERS)
def test_threads_change_no_byte(workers: str) -> None:
    """A row among others is that of a run alone, however far ahead of its results work goes."""
    assert measured(MAPPERS[workers]()) == alone()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copies on Linux")
def test_processes_change_no_byte() -> None:
    """Nor does another interpreter: the seed decides."""
    there = (
        "import json; from tests.contract.test_workers import measured; "
        "from varsim.compute.processes import processes; print(json.dumps(measured(processes(2))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", there], cwd=ROOT, env=environment(), capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == alone()


def test_a_cluster_changes_no_byte(cluster: Mapper) -> None:
    """Work and replicates survive the way to other processes and back."""
    assert measured(nullcontext(cluster)) == alone()


@pytest.mark.parametrize("name", STUDIES)
def test_a_replicate_is_a_function_of_its_index(name: str) -> None:
    """Whatever is sampled with it; and no two of one or two seeds are equal."""
    study = STUDIES[name]
    together = sampled(study, range(12))
    assert sampled(study, range(3, 9)) == together[3:9]
    assert [sampled(study, range(place, place + 1)) for place in range(12)] == [
        [replicate] for replicate in together
    ]
    assert len({*together, *sampled(seeded(study, 99), range(12))}) == 24


def sampled(study: Any, indices: range) -> list[str]:
    """Replicates as text, to the last digit."""
    return [repr(numbers_of(replicate)) for replicate in study.sample(indices)]


@pytest.mark.parametrize("name", STUDIES)
def test_totals_are_a_function_of_the_replicates(name: str) -> None:
    """Whether these are added one by one or many at once."""
    study, total = STUDIES[name], STUDIES[name].minimum + 3
    one_by_one = study.empty()
    for replicate in study.sample(range(total)):
        one_by_one = one_by_one.plus(replicate)
    assert records(study.rows(one_by_one)) == records(study.rows(totals_of(study, total)))


@pytest.mark.parametrize("name", LARGER)
def test_a_larger_study_has_the_replicates_of_a_smaller_one(name: str) -> None:
    """So rows of it can be continued."""
    assert sampled(STUDIES[name], range(9)) == sampled(LARGER[name], range(9))
