"""What the user sees: a progress bar on a terminal, plain lines elsewhere, a summary."""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bidsmask.app.execute import Resources
from bidsmask.app.memory import Need
from bidsmask.app.options import Options
from bidsmask.errors import sentence

if TYPE_CHECKING:
    from bidsmask.app.job import Outcome
    from bidsmask.app.ledger import Ledger
    from bidsmask.app.plan import Step
    from bidsmask.errors import Finding, Severity

# More findings of one kind are counted, not shown. What failed is named as far as a screen goes.
EXAMPLES: dict[Severity, int] = {"error": 50, "warning": 3, "note": 3}


class Terminal:
    """The screen of one run. Only what was asked for goes to standard output."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._progress: Any = None
        self._task: Any = None
        self._n_participants = 0
        self._n_runs: int | None = None
        self._n_planned = 0
        self._participants_planned = 0

    def start(self, n_participants: int, n_runs: int | None = None) -> None:
        """Begin to show progress."""
        self._n_participants, self._n_runs = n_participants, n_runs
        if self._options.quiet or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, emoji=False, soft_wrap=True),
        )
        self._progress.start()
        what = "group" if self._options.analysis_level == "group" else "runs"
        self._task = self._progress.add_task(what, total=n_runs)

    def step(self, step: Step) -> None:
        """Count what was planned, and estimate how much there will be."""
        if step.is_run:
            self._n_planned += 1
        else:
            self._participants_planned += 1
        if self._options.verbose:
            self._findings(step.findings)
        if self._progress is not None and self._n_runs is None:
            share = self._n_participants / max(1, self._participants_planned)
            self._progress.update(self._task, total=round(self._n_planned * share))

    def outcome(self, outcome: Outcome) -> None:
        """Show what became of a Job."""
        if self._progress is not None:
            self._progress.update(self._task, advance=1, description=outcome.label)
        elif not self._options.quiet:
            took = f" in {outcome.seconds:.1f} s" if outcome.status == "done" else ""
            self._say(in_a_line(outcome) + took)
        if self._options.verbose:
            self._findings(outcome.findings)
        if self._options.verbose > 1 and outcome.crash:
            self._say(outcome.crash)

    def end(self, ledger: Ledger) -> None:
        """Show the findings, and what became of all."""
        if self._progress is not None:
            self._progress.stop()
        self._table(ledger.findings, f" in {ledger.folder / 'findings.tsv'}")
        if self._options.quiet:
            return
        counts = ledger.counts
        self._say(
            f"{counts['done']} done, {counts['up to date']} up to date, {counts['failed']} failed."
        )
        if counts["up to date"] and not counts["done"] and not counts["failed"]:
            self._say("There was nothing to do.")
        self._say(f"Results: {self._options.output_dir}")
        self._say(f"Log: {ledger.folder}")
        if counts["failed"]:
            self._say("The same command does again just what failed.")

    def planned(self, steps: Iterator[Step], findings: Sequence[Finding]) -> list[int]:
        """Print the plan; return the exit code of each run of it, as far as it is known."""
        seen, exit_codes = list(findings), []
        resources = Resources.of(self._options.n_procs, self._options.omp_nthreads)
        needs: list[Need] = []
        for step in steps:
            seen += step.findings
            if step.is_run:
                exit_codes.append(step.outcome.exit_code if step.outcome else 0)
            if step.outcome is not None:
                seen += step.outcome.findings
                self._print(f"{step.outcome.status}: {step.outcome.label}")
            if step.outcome is not None or not step.is_run:
                continue
            what = f"{len(step.stale)} of {len(step.products)} products"
            if step.need is not None:
                what += f", about {step.need.process_mb(resources.n_threads):.0f} MB"
                needs.append(step.need)
            self._print(f"to do: {step.label} ({what})")
            for product in step.stale:
                for path in product.data or (product.sidecar,):
                    self._print(f"    {path.relative_to(self._options.output_dir)}")
        if needs:
            largest = max(needs, key=lambda need: need.process_mb(resources.n_threads))
            in_all = f"{largest.in_all_mb(len(needs), resources):.0f} MB"
            at_a_time = min(len(needs), resources.n_procs)
            self._print(f"memory: about {in_all} in all, {at_a_time} of the runs at a time")
        self._table(seen)
        return exit_codes

    def _table(self, findings: Sequence[Finding], where: str = "") -> None:
        """Show findings by kind, with participants counted, not repeated."""
        kinds: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
        for finding in findings:
            kinds[finding.severity, finding.code].append(finding)
        order: tuple[Severity, ...] = ("error", "warning", "note")
        for severity, code in sorted(kinds, key=lambda kind: (order.index(kind[0]), kind[1])):
            if self._options.quiet and severity != "error":
                continue
            some = kinds[severity, code]
            people = len({one.participant for one in some if one.participant})
            whom = f" ({people} participant{'s' if people > 1 else ''})" if people else ""
            times = f", {len(some)} times" if len(some) > 1 else ""
            self._say(f"{severity}: {code}{times}{whom}")
            shown = some[: EXAMPLES[severity]]
            for finding in shown:
                self._say(f"    {finding}")
            if len(some) > len(shown):
                self._say(f"    … and {len(some) - len(shown)} more{where}")

    def _findings(self, findings: Sequence[Finding]) -> None:
        """Show findings one by one."""
        for finding in findings:
            self._say(f"{finding.severity}: {finding}")

    def _say(self, text: str) -> None:
        """Print to standard error, around the progress bar where there is one."""
        # Nobody may read it any more, or its disk be full: no reason to stop working.
        with contextlib.suppress(OSError):
            if self._progress is not None:
                self._progress.console.print(text, markup=False, highlight=False)
            else:
                print(text, file=sys.stderr, flush=True)

    def _print(self, text: str) -> None:
        """Print to standard output what was asked for."""
        print(text, flush=True)


def in_a_line(outcome: Outcome) -> str:
    """Return what became of a Job, with the reason where it failed."""
    line = f"{outcome.status}: {outcome.label}"
    errors = [one for one in outcome.findings if one.severity == "error"]
    if not errors:
        return line
    reason = sentence(errors[0].where, errors[0].problem, "").removeprefix(f"{outcome.label} ")
    return f"{line}: {reason}"
