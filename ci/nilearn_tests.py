"""nilearn's own tests with our functions and estimators in the place of its own.

    python ci/nilearn_tests.py            ours; fails under 85 % of what nilearn passes
    python ci/nilearn_tests.py --as-is    nothing swapped: a failure is one of the environment

nilearn's wheel ships its tests. Every name that bidsmask has, too, is put into nilearn's public
modules and into its checks of estimators before the tests import it from there; nilearn's own
internals keep theirs, since tests compare with them. What is not as nilearn has it stands in
nilearn_tests.toml with the reason, and must fail: the list cannot rot. Where one of our errors is
raised its kind is held to nilearn's, not its words.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bidsmask
from bidsmask.errors import BidsmaskError

LIST = Path(__file__).with_name("nilearn_tests.toml")
# Of those that nilearn passes.
LEAST_SHARE = 0.85
# Where the tests and the checks of estimators take the names from. In nilearn.signal names like
# ours mean functions of arrays.
PUBLIC = (
    "nilearn.image",
    "nilearn.masking",
    "nilearn.maskers",
    "nilearn.regions",
    "nilearn.interfaces.fmriprep",
    "nilearn._utils.estimator_checks",
)
TESTS = (
    "nilearn.tests.test_masking",
    "nilearn.tests.test_signal",
    "nilearn.maskers.tests.test_nifti_masker",
    "nilearn.maskers.tests.test_nifti_labels_masker",
    "nilearn.maskers.tests.test_nifti_maps_masker",
    "nilearn.maskers.tests.test_nifti_spheres_masker",
    "nilearn.maskers.tests.test_masker_validation",
    "nilearn.maskers.tests.test_html_report",
    "nilearn.regions.tests.test_region_extractor",
    "nilearn.regions.tests.test_signal_extraction",
    "nilearn.interfaces.fmriprep.tests.test_load_confounds",
    "nilearn.interfaces.fmriprep.tests.test_load_confounds_components",
    "nilearn.interfaces.fmriprep.tests.test_load_confounds_scrub",
    "nilearn.interfaces.fmriprep.tests.test_load_confounds_strategy",
    "nilearn.interfaces.fmriprep.tests.test_load_confounds_utils",
)
CHECK = re.compile(r"\[estimator\d+-(\w+)-\1\]")


class Swap:
    """A plugin of pytest: swaps names, expects the failures of the list, counts.

    Attributes
    ----------
    swapped : set of str
        Names of bidsmask that stand in nilearn's place.
    counts : Counter
        Of outcomes: passed, failed, skipped, expected, nilearn's own expected failures.
    n_ours : int
        Tests that passed and called something of ours.
    failed : list of str
        Tests that failed or passed against the list, as module::test.
    """

    def __init__(self, expected: dict[str, dict[str, str]]) -> None:
        self.swapped: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.n_ours = 0
        self.failed: list[str] = []
        self._expected = expected
        self._unused = {f"{module}::{name}" for module in expected for name in expected[module]}
        self._is_called = False

    def pytest_configure(self) -> None:
        """Put ours in the place of nilearn's, before a test imports it."""
        for module in map(importlib.import_module, PUBLIC):
            for name in set(bidsmask.__all__) & set(vars(module)):
                if getattr(vars(module)[name], "__module__", "").startswith("nilearn"):
                    setattr(module, name, self._watched(getattr(bidsmask, name)))
                    self.swapped.add(name)
        pytest.raises = _with_our_words(pytest.raises)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Expect the failures of the list."""
        for item in items:
            item.user_properties.append(("module", item.module.__name__))
            names = self._expected.get(item.module.__name__, {})
            # A check by its name stands for that of all cases of an estimator.
            for name in {item.name, CHECK.sub(r"[\1]", item.name)} & set(names):
                item.add_marker(pytest.mark.xfail(reason=names[name], strict=True))
                item.user_properties.append(("expected", names[name]))
                self._unused.discard(f"{item.module.__name__}::{name}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        self._is_called = False
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: by its call, or by what went wrong before or after."""
        if report.when != "call" and report.passed:
            return
        if report.skipped and hasattr(report, "wasxfail"):
            is_ours = any(key == "expected" for key, _ in report.user_properties)
            self.counts["expected" if is_ours else "of nilearn"] += 1
            return
        self.counts[report.outcome] += 1
        if report.failed:
            [module] = [value for key, value in report.user_properties if key == "module"]
            self.failed.append(f"{module}::{report.nodeid.split('::')[-1]}")
        self.n_ours += report.passed and self._is_called

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how many of those that nilearn passes we pass."""
        terminalreporter.write_line(f"\nin nilearn's place: {', '.join(sorted(self.swapped))}")
        terminalreporter.write_line(
            f"{self.counts['passed']} of {self.n_nilearn} tests that nilearn passes: "
            f"{self.share:.1%}; {self.n_ours} of them called ours"
        )
        for one in self.failed:
            terminalreporter.write_line(f"not as the list says: {one}")
        for one in sorted(self._unused):
            terminalreporter.write_line(f"no such test: {one}")

    @property
    def n_nilearn(self) -> int:
        """Tests that nilearn passes: all but those that it skips or expects to fail."""
        return self.counts["passed"] + self.counts["failed"] + self.counts["expected"]

    @property
    def share(self) -> float:
        """Of these, those that we pass."""
        return self.counts["passed"] / max(1, self.n_nilearn)

    @property
    def is_good(self) -> bool:
        """Whether all is as the list says, and enough passes."""
        return not (self.counts["failed"] or self._unused) and self.share >= LEAST_SHARE

    def _watched(self, ours: Any) -> Any:
        """Return a function or class that tells when it is called, and is itself in all else."""
        if isinstance(ours, type):

            def new(cls: type, *_: Any, **__: Any) -> Any:
                self._is_called = True
                return object.__new__(cls)

            ours.__new__ = new  # type: ignore[method-assign]
            return ours

        @functools.wraps(ours)
        def called(*args: Any, **options: Any) -> Any:
            self._is_called = True
            return ours(*args, **options)

        return called


def _with_our_words(raises: Callable[..., Any]) -> Callable[..., Any]:
    """Return pytest.raises that holds nilearn's errors to nilearn's words, and ours to nothing."""

    @functools.wraps(raises)
    def lenient(*args: Any, match: Any = None, **options: Any) -> Any:
        if match is None:
            return raises(*args, **options)

        def is_meant(error: BaseException) -> bool:
            return isinstance(error, BidsmaskError) or bool(re.search(match, str(error)))

        return raises(*args, check=is_meant, **options)

    return lenient


def main() -> int:
    """Run the tests; 1 where they are not as they should be."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--as-is", action="store_true", help="nilearn's own names")
    arguments.add_argument("--only", nargs="+", default=[], help="modules with this in their name")
    given, options = arguments.parse_known_args()
    tests = [one for one in TESTS if not given.only or any(word in one for word in given.only)]
    # Our own settings, warnings that are errors above all, are not nilearn's.
    options += ["-c", os.devnull, "-p", "no:cacheprovider", "--disable-warnings", "-q"]
    options += ["--pyargs", *tests]
    if given.as_is:
        # pandas warns of what nilearn's own reports call, and these checks allow no warning.
        return int(pytest.main(["-k", "not generate_report", *options]))
    expected = tomllib.loads(LIST.read_text(encoding="utf-8"))
    swap = Swap({module: names for module, names in expected.items() if module in tests})
    code = pytest.main(options, plugins=[swap])
    return int(code != pytest.ExitCode.OK or not swap.is_good)


if __name__ == "__main__":
    sys.exit(main())
