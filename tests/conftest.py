"""The option ``--all``, without which slow tests are left out, and fixtures of many files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiers
from varsim.compute import one_blas_thread as blas

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="slow tests and all replicates too")


def pytest_configure(config: pytest.Config) -> None:
    tiers.everything = config.getoption("--all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not tiers.everything:
        config.hook.pytest_deselected(items=[item for item in items if is_slow(item)])
        items[:] = [item for item in items if not is_slow(item)]


def is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


@pytest.fixture(scope="module")
def one_blas_thread() -> Iterator[None]:
    """For tests that sample without a run: more threads would fight other workers for the cores."""
    with blas:
        yield


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without its virtual environment, in a path for a shell to expand."""
    copy = tmp_path_factory.mktemp("some $where `else") / "varsim"
    ignore = shutil.ignore_patterns(".venv", ".git", "*cache*", ".hypothesis", "dist")
    shutil.copytree(ROOT, copy, ignore=ignore)
    return copy
