"""What is built, and what is installed: the wheel and the locks."""

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ("stressd", "featurestore")
SHIPPED_SUFFIXES = {".py", ".typed", ".yaml", ".html", ".css", ".js", ".svg"}


@pytest.fixture(scope="session")
def pyproject(project_root):
    return tomllib.loads((project_root / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def wheel(project_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=project_root)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def wheel_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def run(*command, **options):
    """The command's standard output; its standard error is in the failure."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL, check=False, **options
    )
    assert done.returncode == 0, f"{command} ended in {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_wheel_holds_the_packages_and_nothing_else(wheel_files, project_root):
    source = {
        path.relative_to(project_root).as_posix()
        for package in PACKAGES
        for path in (project_root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel_files if ".dist-info/" not in name}
    assert packed == source
    assert {Path(name).suffix for name in packed} <= SHIPPED_SUFFIXES


def test_the_wheel_holds_what_is_not_code(wheel_files):
    assert {"stressd/py.typed", "featurestore/py.typed"} <= wheel_files.keys()
    assert "stressd/builtin/soak.yaml" in wheel_files


def test_the_wheel_declares_what_the_project_declares(wheel_files, pyproject):
    (info,) = {name.split("/")[0] for name in wheel_files if ".dist-info/" in name}
    metadata = email.message_from_bytes(wheel_files[f"{info}/METADATA"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert b"Apache License" in wheel_files[f"{info}/licenses/LICENSE"]
    assert metadata["Requires-Python"] == pyproject["project"]["requires-python"]
    declared = {str(Requirement(text)) for text in pyproject["project"]["dependencies"]}
    for extra, texts in pyproject["project"]["optional-dependencies"].items():
        declared |= {str(Requirement(f"{text}; extra == '{extra}'")) for text in texts}
    assert {str(Requirement(text)) for text in metadata.get_all("Requires-Dist")} == declared
    assert b"stressd = stressd.cli:main" in wheel_files[f"{info}/entry_points.txt"]


def test_the_installed_wheel_runs_without_its_source(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index")
    run(*pip, "--no-deps", "--no-compile", "--target", str(site), str(wheel))

    def python(*arguments):  # -P keeps the current folder off the path; the rest comes from this environment
        return run(sys.executable, "-P", *arguments, cwd=elsewhere, env={"PYTHONPATH": str(site)})

    where = python("-c", "import stressd, featurestore; print(stressd.__file__, featurestore.__file__)")
    assert [Path(path).parent.parent for path in where.split()] == [site, site]
    assert "soak" in python("-m", "stressd", "scenarios")
    soaked = python("-m", "stressd", "run", "smoke", "--listen", "127.0.0.1:0", "--quiet")
    assert "no violation" in soaked
    assert (elsewhere / "stressd-data" / "run.json").is_file()


def locked(path):
    """{name: [(version, hashes), …]} of a lock; one name may have several versions, told apart by markers."""
    pins = {}
    for entry in re.split(r"\n(?=\S)", path.read_text().strip()):
        requirement, *hashes = (part.strip(" \\\n") for part in entry.split("--hash="))
        pin = Requirement(requirement)
        (version,) = pin.specifier
        assert version.operator == "==", f"{path.name}: {requirement} is not pinned"
        pins.setdefault(canonicalize_name(pin.name), []).append((version.version, frozenset(hashes)))
    return pins


LOCKS = {  # lock: the dependency groups that it must cover besides the project's own dependencies
    "run.txt": ("build",),
    "dev.txt": ("build", "test", "check"),
    "bench.txt": ("bench",),
    "pandas2.txt": ("test",),
}


@pytest.mark.parametrize(("name", "groups"), LOCKS.items())
def test_a_lock_covers_what_the_project_asks_for(project_root, pyproject, name, groups):
    pins = locked(project_root / "requirements" / name)
    wanted = list(pyproject["project"]["dependencies"])
    for group in groups:
        wanted += pyproject["dependency-groups"][group]
    for requirement in map(Requirement, wanted):
        versions = [version for version, _ in pins.get(canonicalize_name(requirement.name), [])]
        assert versions, f"{requirement} is not in {name}; make lock"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"{name} has {requirement.name} {versions}, pyproject.toml wants {requirement}; make lock"
        )


def test_the_development_lock_covers_the_extras(project_root, pyproject):
    pins = locked(project_root / "requirements" / "dev.txt")
    for texts in pyproject["project"]["optional-dependencies"].values():
        for requirement in map(Requirement, texts):
            versions = [version for version, _ in pins[canonicalize_name(requirement.name)]]
            assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}; make lock"


def test_the_lock_of_the_s3_server_covers_what_it_is_made_of(project_root):
    pins = locked(project_root / "requirements" / "s3server.txt")
    wanted = (project_root / "requirements" / "s3server.in").read_text().splitlines()
    for requirement in [Requirement(line) for line in wanted if not line.startswith("#")]:
        versions = [version for version, _ in pins[canonicalize_name(requirement.name)]]
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}; make lock"


@pytest.mark.parametrize("name", [*LOCKS, "s3server.txt"])
def test_a_lock_holds_versions_and_hashes_only(project_root, name):
    path = project_root / "requirements" / name
    for package, pins in locked(path).items():
        for version, hashes in pins:
            assert hashes, f"{package} {version} has no hash"
            assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in hashes)
    assert not re.search(r"://|^-|^\s*#", path.read_text(), re.MULTILINE)


def test_the_development_lock_extends_the_run_lock(project_root):
    run_pins, dev_pins = (locked(project_root / "requirements" / name) for name in ("run.txt", "dev.txt"))
    assert run_pins == {name: dev_pins[name] for name in run_pins}


def test_one_lock_holds_pandas_2(project_root):
    versions = [version for version, _ in locked(project_root / "requirements/pandas2.txt")["pandas"]]
    assert versions
    assert all(version.startswith("2.") for version in versions)
