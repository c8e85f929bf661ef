"""The package: wheel and sdist build, and the installed wheel runs without the test extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import varsim

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, built from the sdist, which is built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    """All modules, the topics of varsim help, the marker of types, and no tests."""
    (wheel,) = dist.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "varsim"
    modules, topics = package.rglob("*.py"), (package / "cli" / "topics").glob("*.md")
    expected = {str(path.relative_to(ROOT)) for path in [*modules, *topics]}
    assert names == expected | {"varsim/py.typed"}


@pytest.mark.slow
def test_the_sdist_can_be_tested(dist: Path) -> None:
    """It holds tests, scripts and README beside the package."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        tops = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert {"varsim", "tests", "scripts", "README.md", "pyproject.toml"} <= tops


@pytest.mark.slow
def test_the_installed_wheel_runs(dist: Path, tmp_path: Path) -> None:
    """In an environment of its own, from another folder, as a command, a module and a library."""
    (wheel,) = dist.glob("varsim_simulator-*.whl")
    home = tmp_path / "home"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-compile", str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    installed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze"],
        check=True, capture_output=True, text=True,
    ).stdout.lower()  # fmt: skip
    assert not re.search(
        r"^(pytest|hypothesis|mypy|ruff|distributed|matplotlib)==", installed, re.MULTILINE
    )
    code = "from varsim import *; print(simulate(dim=8, scale='sqrt').agrees)"
    commands: list[tuple[list[str | Path], str]] = [
        ([home / "bin" / "varsim", "--scale", "sqrt"], "agrees"),
        ([python, "-m", "varsim", "--version"], f"varsim {varsim.__version__}"),
        ([home / "bin" / "varsim", "help", "sweeps"], "# Sweeps"),
        ([python, "-c", code], "True"),
    ]
    for command, expected in commands:
        done = subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, encoding="utf-8"
        )
        assert expected in done.stdout


def test_the_version_stands_in_one_place() -> None:
    """No other file repeats it."""
    told = f'"{varsim.__version__}"'
    files = [ROOT / "pyproject.toml", *(ROOT / "varsim").rglob("*.py")]
    tellers = [file for file in files if told in file.read_text(encoding="utf-8")]
    assert tellers == [ROOT / "varsim" / "__init__.py"]


def test_public_names_are_documented_and_listed() -> None:
    """What the package offers is there, with a docstring, and nothing else is promised."""
    for name in varsim.__all__:
        offered = getattr(varsim, name)
        assert name == "__version__" or offered.__doc__
    assert dir(varsim) == sorted(varsim.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        varsim.nothing  # noqa: B018
