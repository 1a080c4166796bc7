"""The house: what modules export, what the package ships, words that do not belong in it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest

import bidsmask

PACKAGE = Path(bidsmask.__file__).parent
ROOT = PACKAGE.parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PEERS = {"nilearn", "nidataset", "pytest", "hypothesis", "matplotlib"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def offenders(paths: list[Path], is_wrong: Callable[[Path], object]) -> list[str]:
    """Return the names of the files of which something is true."""
    return [path.relative_to(ROOT).as_posix() for path in paths if is_wrong(path)]


def imported(path: Path) -> set[str]:
    """Return the names of the packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


# Names


def test_every_module_is_imported_and_has_what_it_says_it_exports():
    modules = [one.name for one in pkgutil.walk_packages([str(PACKAGE)], "bidsmask.")]
    assert len(modules) > 40
    for name in modules:
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        for exported in getattr(module, "__all__", ()):
            assert hasattr(module, exported), (name, exported)


def test_the_package_says_its_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", bidsmask.__version__)
    assert distribution("bidsmask").version == bidsmask.__version__


def test_the_command_is_the_door():
    (script,) = [one for one in distribution("bidsmask").entry_points if one.name == "bidsmask"]
    assert script.load() is importlib.import_module("bidsmask.cli").program


def test_annotations_are_shipped():
    assert (PACKAGE / "py.typed").exists()


def test_every_module_opens_with_what_it_promises():
    assert offenders(SOURCES, lambda path: not ast.get_docstring(tree_of(path))) == []


def test_rooms_hold_a_docstring_and_nothing_to_run():
    rooms = [path for path in SOURCES if path.name == "__init__.py" and path.parent != PACKAGE]
    assert offenders(rooms, lambda path: len(tree_of(path).body) != 1) == []


def test_every_public_function_and_class_has_a_docstring():
    def silent(path: Path) -> list[str]:
        return [
            node.name
            for node in tree_of(path).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]

    assert offenders(SOURCES, silent) == []


def test_no_test_hides_another_of_its_name():
    def doubled(path: Path) -> bool:
        names = [one.name for one in tree_of(path).body if isinstance(one, ast.FunctionDef)]
        return len(names) != len(set(names))

    assert offenders(TESTS, doubled) == []


# Words


def test_no_word_stands_for_work_that_is_not_done():
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplemented(Error)?|breakpoint|pdb)\b")
    assert offenders(SOURCES, lambda path: words.search(path.read_text())) == []


def test_no_path_of_one_machine_is_written_down():
    path_of_one = re.compile(r"/(?:work|home|root|Users|mnt)/\w")
    others = [path for path in SOURCES + TESTS if path != Path(__file__)]
    assert offenders(others, lambda path: path_of_one.search(path.read_text())) == []


def test_nothing_is_named_for_being_left_over():
    left_over = re.compile(r"(^|_)(utils?|helpers?|common|misc)($|_)")
    assert offenders(SOURCES, lambda path: left_over.search(path.stem)) == []


def test_files_can_be_read_in_one_sitting():
    assert offenders(SOURCES, lambda path: len(path.read_text().splitlines()) > 420) == []


# What is imported


def test_the_peers_of_the_tests_are_not_imported():
    assert offenders(SOURCES, lambda path: imported(path) & PEERS) == []


def test_scikit_learn_is_for_maskers_alone():
    def needs_it(path: Path) -> bool:
        return path.parent.name != "maskers" and bool(imported(path) & {"sklearn", "joblib"})

    assert offenders(SOURCES, needs_it) == []


def test_every_dependency_is_imported_and_nothing_else():
    modules = {"pybids": "bids", "scikit-learn": "sklearn"}
    lines = [one for one in requires("bidsmask") or [] if "extra ==" not in one]
    declared = {re.split(r"[^A-Za-z0-9_-]", one)[0] for one in lines}
    known = {modules.get(one, one) for one in declared}
    used = set().union(*map(imported, SOURCES))
    # Of TemplateFlow's client only the list of its files is read (bids/templates.py).
    assert known - used <= {"templateflow"}
    assert used - known <= {*sys.stdlib_module_names, "bidsmask"}


@pytest.mark.parametrize("words", ["--version", "--help"])
def test_the_door_opens_without_numpy(words):
    code = (
        "import sys\n"
        "from bidsmask.cli import main\n"
        f"try: main(['{words}'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'nibabel', 'bids'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
