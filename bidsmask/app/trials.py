"""Means of the signals over trials: what is planned, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bidsmask.app.choices import in_letters
from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.app.options import Options
from bidsmask.app.outdated import OF_SIGNALS, OF_TRIALS
from bidsmask.app.preparation import AtlasPlan, CleaningPlan, TrialsPlan
from bidsmask.app.products import Names, Product, fingerprint
from bidsmask.signals.trials import Span, Trials

# Of the sidecar of signals, what does not hold of their means over trials.
OF_VOLUMES = ("SamplingFrequency", "StartTime", "Rows", "VolumesFile")


def span_of(options: Options) -> Span:
    """Return which volumes a trial has, as the options say."""
    if options.trial_window:
        start, end = options.trial_window
        return Span((start, end))
    return Span(delay_s=options.trial_delay or 0.0)


def in_name(span: Span) -> str:
    """Return a span in letters and digits: `WIN4to8`, `WINm2to6`, `DELAY5`."""

    def time(seconds: float) -> str:
        return ("m" if seconds < 0 else "") + in_letters(abs(seconds))

    if span.window_s is None:
        return "DELAY" + time(span.delay_s)
    start, end = span.window_s
    return f"WIN{time(start)}to{time(end)}"


def plan_trials(
    job: Job,
    trials: Trials,
    cleanings: Sequence[CleaningPlan],
    atlases: Sequence[AtlasPlan],
    names: Names,
    notes: Notes,
) -> TrialsPlan:
    """Work out the means over trials of all signals of a run, and say which will be empty."""
    span = span_of(job.options)
    letters = in_name(span)
    tables, series = [], {}
    for number, plan in enumerate(cleanings):
        made_from = fingerprint("trials", asdict(span), plan.volumes.fingerprint)
        table = names.trials(made_from, plan.choice.name, letters)
        signals = [] if plan.voxels is None else [plan.voxels]
        signals += [of_plans[number] for one in atlases for of_plans in one.signals.values()]
        for one in signals:
            made_from = fingerprint("trial series", one.fingerprint, table.fingerprint)
            series[one] = names.trial_series(made_from, one, letters)
        tables.append(table)
        note_empty(job, trials, span, plan, notes)
    return TrialsPlan(span, tuple(tables), series)


def note_empty(job: Job, trials: Trials, span: Span, plan: CleaningPlan, notes: Notes) -> None:
    """Say how many trials have no kept volume."""
    table = trials.described(span, plan.censoring.kept)
    is_empty = table["n_volumes"] == table["n_censored"]
    if not is_empty.any():
        return
    censored = int((is_empty & (table["n_volumes"] > 0)).sum())
    numbers = ", ".join(map(str, table["trial_number"][is_empty][:5]))
    numbers += ", …" if is_empty.sum() > 5 else ""
    notes.add(
        "warning",
        "trials-without-volumes",
        job.run.events,
        f"has {is_empty.sum()} of {len(table)} trials without a kept volume after "
        f"{plan.choice.name}, {censored} of them since it censors: their rows are n/a (trial "
        f"{numbers})",
        "Widen --trial-window, or censor less, where they are needed.",
    )


def trials_sidecar(
    job: Job, plan: TrialsPlan, product: Product, cleaning: CleaningPlan
) -> dict[str, Any]:
    """Return what is said of the table of trials."""
    of_events = {"Description": "From the events."}
    sources = [path for path in (job.run.events, cleaning.volumes.path) if path]
    return {
        "Description": "One row per trial: an event of the run.",
        "Sources": [job.dataset.uri(path) for path in sources],
        **span_keys(plan.span),
        "trial_number": {"Description": "By onset, from 1, as in the table of volumes."},
        "trial_type": of_events,
        "onset": {"Description": "From the events, not delayed.", "Units": "s"},
        "duration": {"Description": "From the events.", "Units": "s"},
        "n_volumes": {"Description": "Volumes of the run that the trial has."},
        "n_censored": {"Description": "How many of them are censored; the others are averaged."},
        **dict.fromkeys(job.options.events_columns, of_events),
        OF_TRIALS: cleaning.trials,
        "Fingerprint": product.fingerprint,
    }


def trial_series_sidecar(
    job: Job,
    plan: TrialsPlan,
    signals: Product,
    cleaning: CleaningPlan,
    table: Product,
    of_signals: dict[str, Any],
) -> dict[str, Any]:
    """Return what is said of means over trials, given what is said of their signals."""
    told = {key: value for key, value in of_signals.items() if key not in OF_VOLUMES}
    what = of_signals["Description"].partition(":")[0]
    sources = (signals, cleaning.volumes, table)
    return {
        **told,
        "Description": f"{what}, its mean over the kept volumes of each trial: a column each, a "
        "row per trial.",
        "Sources": [job.dataset.uri(one.path) for one in sources],
        "TrialsFile": job.dataset.uri(table.path),
        **span_keys(plan.span),
        OF_SIGNALS: signals.fingerprint,
        OF_TRIALS: cleaning.trials,
        "Fingerprint": plan.series[signals].fingerprint,
    }


def span_keys(span: Span) -> dict[str, Any]:
    """Return the keys that say which volumes a trial has."""
    if span.window_s is None:
        return {"TrialWindow": "onset to end of the trial", "TrialDelay": span.delay_s}
    return {"TrialWindow": list(span.window_s)}
