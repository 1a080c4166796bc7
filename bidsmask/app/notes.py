"""Findings of one Job, gathered on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from bidsmask.app.job import Job
from bidsmask.errors import Finding, Severity


@dataclass
class Notes:
    """What the user should know of a Job; it does not stop it."""

    job: Job
    findings: list[Finding] = field(default_factory=list)

    def add(
        self, severity: Severity, code: str, where: object, problem: str, advice: str = ""
    ) -> None:
        """Add a finding of this Job's participant."""
        participant = self.job.run.participant
        self.findings.append(Finding(severity, code, str(where), problem, advice, participant))
