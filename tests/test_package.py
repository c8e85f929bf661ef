"""The package: wheel and sdist build, and both the wheel and a checkout run without an extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import varsim
from tests.program import environment, run_script

ROOT = Path(__file__).parent.parent
SQRT = ("-s", "sqrt", "-n", "6400")


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
    """All modules, topics and derivations, the marker of types, and no tests."""
    (wheel,) = dist.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "varsim"
    modules, pages = package.rglob("*.py"), package.rglob("*.md")
    expected = {str(path.relative_to(ROOT)) for path in [*modules, *pages]}
    assert names == expected | {"varsim/py.typed"}


@pytest.mark.slow
def test_the_sdist_can_be_tested(dist: Path) -> None:
    """It holds tests, scripts and README beside the package."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        tops = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert {"varsim", "tests", "scripts", "README.md", "pyproject.toml"} <= tops


@pytest.fixture(scope="module")
def first_call(checkout: Path) -> subprocess.CompletedProcess[str]:
    """scripts/varsim, called where there is no virtual environment."""
    # Falsy turns compiling off, of which most would be in vain: what is loaded is compiled then.
    return run_script(checkout, *SQRT, PYTHON=sys.executable, PIP_NO_COMPILE="0")


@pytest.mark.slow
def test_a_fresh_checkout_runs_and_a_second_call_is_quick(
    checkout: Path, first_call: subprocess.CompletedProcess[str]
) -> None:
    """The first call installs, the second needs no Python to set up, and a link works too."""
    assert first_call.returncode == 0, first_call.stderr
    assert " sqrt " in first_call.stdout
    second = run_script(checkout, *SQRT, PYTHON="/nonexistent")
    assert (second.stdout, second.stderr) == (first_call.stdout, "1 of 1 agree with theory.\n")
    interpreter = checkout / ".venv" / "bin" / "python"
    aside = interpreter.rename(interpreter.with_name("aside"))
    subprocess.run([checkout / "scripts" / "setup"], check=True)
    aside.rename(interpreter)
    link = checkout.parent / "link"
    link.symlink_to(checkout / "scripts" / "varsim")
    linked = subprocess.run([link, "--version"], capture_output=True, text=True, check=True)
    assert linked.stdout.startswith("varsim ")


@pytest.mark.slow
@pytest.mark.usefixtures("first_call")
def test_the_installed_wheel_runs(dist: Path, checkout: Path, tmp_path: Path) -> None:
    """With its dependencies alone, from another folder, as a command, a module and a library."""
    (wheel,) = dist.glob("varsim_simulator-*.whl")
    python, site = checkout / ".venv" / "bin" / "python", tmp_path / "site"
    installed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze"],
        check=True, capture_output=True, text=True,
    ).stdout.lower()  # fmt: skip
    assert not re.search(
        r"^(pytest|hypothesis|mypy|ruff|distributed|matplotlib)==", installed, re.MULTILINE
    )
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    code = "import varsim; print(varsim.__file__, varsim.simulate(dim=8, scale='sqrt').agrees)"
    commands: list[tuple[list[str | Path], str]] = [
        ([site / "bin" / "varsim", "--scale", "sqrt"], "agrees"),
        (["-m", "varsim", "--version"], f"varsim {varsim.__version__}"),
        ([site / "bin" / "varsim", "help", "sweeps"], "# Sweeps"),
        (["-c", code], f"{site / 'varsim' / '__init__.py'} True"),
    ]
    for command, expected in commands:
        done = subprocess.run(
            [python, *command], cwd=tmp_path, check=True, capture_output=True, encoding="utf-8",
            env=environment(PYTHONPATH=str(site)),
        )  # fmt: skip
        assert expected in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("first_call")
def test_a_changed_pyproject_is_installed_again(checkout: Path) -> None:
    """So that a pull with a new dependency works."""
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    done = run_script(checkout, "--help")
    assert done.returncode == 0
    assert "setting up" in done.stderr


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
