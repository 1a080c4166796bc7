"""Jobs to Outcomes: a process for each Job, so many at a time.

A process of its own makes every Job independent: one that dies takes nothing with it, and its
memory is free when it ends. They are forked from a server that has imported everything, so that
one costs milliseconds.
"""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from bidsmask.app.job import Outcome
from bidsmask.errors import Finding


class Labelled(Protocol):
    """A Job, of whichever kind; it can be sent to another process."""

    @property
    def label(self) -> str:
        """Short name for messages."""

    @property
    def participant(self) -> str:
        """Label without `sub-`."""


Work = Callable[[Any, int], Outcome]

# Between two lines of Python lies one call of the linear algebra, seconds at most. Schedulers
# kill 30 s after they asked.
PATIENCE_S = 10.0

# A socket's path may have 107 bytes, of which multiprocessing takes 32 for names of its own.
LONGEST_FOLDER = 72


@dataclass(frozen=True)
class Resources:
    """How many Jobs at a time, and how many threads each of them, or a single one, may use."""

    n_procs: int
    n_threads: int
    n_threads_alone: int

    @classmethod
    def of(cls, n_procs: int, omp_nthreads: int) -> Resources:
        """Return what was asked for, with 0 turned into a fair share of the processors."""
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        processors = available or os.cpu_count() or 1
        n_procs = n_procs or processors
        n_threads = omp_nthreads or max(1, processors // n_procs)
        return cls(n_procs, n_threads, omp_nthreads or n_procs * n_threads)


def execute(
    jobs: Iterator[Labelled], work: Work, resources: Resources, *, stop_on_failure: bool = False
) -> Generator[Outcome]:
    """Do the work of every Job and yield the Outcomes as they come.

    Parameters
    ----------
    jobs : iterator of Job
        Asked for the next Job when there is room for it.
    work : callable
        A function at the top of a module; it turns a Job, and the number of threads that it
        may use, into an Outcome and does not raise.
    resources : Resources
    stop_on_failure : bool
        Whether to start nothing more after the first failed Job.

    Yields
    ------
    Outcome
        One for each Job. A Job whose process died has failed, and no other with it. When the
        iterator is closed, or an interrupt is raised in it, the processes are ended.
    """
    ahead = list(itertools.islice(jobs, 2))
    if len(ahead) == 2:
        jobs = itertools.chain(ahead, jobs)
        yield from in_processes(jobs, work, resources, stop_on_failure=stop_on_failure)
        return
    # A single Job needs no process of its own, which would cost it the start-up twice.
    for job in ahead:
        yield alone(work, job, resources.n_threads_alone)


def alone(work: Work, job: Labelled, n_threads: int) -> Outcome:
    """Do the work of a Job with the libraries of linear algebra held to one thread.

    Their results differ in the last bits with the number of threads: that is left to us.
    """
    with threadpool_limits(1, user_api="blas"):
        return work(job, n_threads)


def in_processes(
    jobs: Iterator[Labelled], work: Work, resources: Resources, *, stop_on_failure: bool
) -> Generator[Outcome]:
    """Execute each Job in a process of its own."""
    context = process_context()
    running: dict[int, Running] = {}
    try:
        while True:
            for job in itertools.islice(jobs, resources.n_procs - len(running)):
                one = Running.start(context, job, work, resources.n_threads)
                running[one.process.sentinel] = one
            if not running:
                return
            pipes = [one.pipe for one in running.values()]
            ready = set(multiprocessing.connection.wait([*pipes, *running]))
            for sentinel, one in list(running.items()):
                if sentinel in ready or one.pipe in ready:
                    outcome = one.outcome()
                    del running[sentinel]
                    if stop_on_failure and outcome.status == "failed":
                        jobs = iter(())
                    yield outcome
    finally:
        end(running.values())


def process_context() -> ForkServerContext | SpawnContext:
    """Return the way processes are started: forked from a server that imported our science.

    Where that cannot be, each imports it for itself, which takes a second.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods() or not has_place_for_socket():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bidsmask.app.participant"])
    return context


def has_place_for_socket() -> bool:
    """Say whether the server's socket has a place.

    A read-only container may have no temporary folder, a cluster one whose name is too long.
    """
    try:
        return len(os.fsencode(tempfile.gettempdir())) <= LONGEST_FOLDER
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Running:
    """A Job that a process works on."""

    job: Labelled
    process: BaseProcess
    pipe: multiprocessing.connection.Connection

    @classmethod
    def start(
        cls, context: ForkServerContext | SpawnContext, job: Labelled, work: Work, n_threads: int
    ) -> Running:
        """Start the process."""
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=serve, args=(theirs, work, job, n_threads), daemon=True)
        process.start()
        theirs.close()
        return cls(job, process, ours)

    def outcome(self) -> Outcome:
        """Return what the process sent, or a failed Outcome if it died before."""
        try:
            outcome: Outcome = self.pipe.recv()
        except (EOFError, OSError):  # it ended before or within its message
            self.process.join()
            return died(self.job, self.process.exitcode or 0)
        finally:
            self.pipe.close()
        self.process.join()
        return outcome


def serve(
    pipe: multiprocessing.connection.Connection, work: Work, job: Labelled, n_threads: int
) -> None:
    """Do the work of one Job in this process and send its Outcome."""
    # An interrupt at the keyboard reaches every process; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An exception, so that what is half-written is cleared away.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    pipe.send(alone(work, job, n_threads))


def end(some: Collection[Running]) -> None:
    """End processes: kindly, so that they clear away what is half-written, or else by force."""
    for one in some:
        one.process.terminate()
    deadline = time.monotonic() + PATIENCE_S
    for one in some:
        one.process.join(max(0.0, deadline - time.monotonic()))
        one.process.kill()
        one.process.join()


def died(job: Labelled, exit_code: int) -> Outcome:
    """Return the failed Outcome of a Job whose process ended without a word."""
    how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with {exit_code}"
    memory = exit_code == -signal.SIGKILL
    advice = "Memory may have run out: try a smaller --n-procs." if memory else "Run it again."
    finding = Finding(
        "error",
        "process-died",
        job.label,
        f"was not finished: its process {how}",
        advice,
        job.participant,
    )
    return Outcome(job.label, job.participant, "failed", 75, findings=(finding,))
