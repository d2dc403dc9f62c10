"""The line of a seed, and the table of many."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crash.seen import Seen


def line_of(seen: Seen, broken: Sequence[str]) -> str:
    """The result of a seed, on one line."""
    scenario = seen.scenario
    how = f"shared, {scenario.workers} workers" if scenario.is_shared else "embedded"
    if scenario.with_keys:
        how += ", with keys"
    kinds = Counter(kind for job in seen.jobs for kind in job.kinds.values())
    outcomes = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    blows = ", ".join(seen.blows) or "no blow"
    verdict = f"{len(broken)} BROKEN" if broken else "ok"
    seconds = f"{seen.seconds:.1f} s ({seen.seconds_after:.1f} s after the last blow)"
    return f"seed {scenario.seed}: {verdict}, {seconds}, {how}; {blows}; {outcomes}"


@dataclass(slots=True)
class Table:
    """Counts over all runs."""

    runs: Counter[str] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    more: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    seconds_after: list[float] = field(default_factory=list)

    def add(self, seen: Seen, broken: Sequence[str]) -> None:
        """Count one run."""
        how = "PostgreSQL, server and workers" if seen.scenario.is_shared else "SQLite, one process"
        self.runs[how] += 1
        self.runs["with an Idempotency-Key"] += seen.scenario.with_keys
        self.blows.update(seen.blows)
        self.kinds.update(kind for job in seen.jobs for kind in job.kinds.values())
        acknowledged = {attempt.job_id for attempt in seen.attempts} - {None}
        self.more["jobs acknowledged"] += len(acknowledged)
        self.more["jobs whose acknowledgement was lost"] += len(seen.jobs) - len(acknowledged)
        for what, jobs in _follow_ups(seen).items():
            self.more[what] += jobs
        self.more["rows not reached (cancelled)"] += sum(
            (job.records or 0) - len(job.kinds) for job in seen.jobs if job.status == "CANCELLED"
        )
        expected = {work.name: len(work.expected) for work in seen.scenario.downloads}
        self.more["records in downloaded files"] += sum(expected[name] for name, _ in seen.files)
        self.more["callbacks received"] += len(seen.callbacks)
        self.more["requests without an answer, or with 503 or 507"] += seen.failed_answers.total()
        self.seconds.append(seen.seconds)
        self.seconds_after.append(seen.seconds_after)
        if broken:
            self.failed.append(seen.scenario.seed)

    def __str__(self) -> str:
        """As Markdown."""
        if not self.seconds:
            return "nothing was run"
        counts = [
            *((f"runs: {how}", count) for how, count in sorted(self.runs.items())),
            *sorted(self.blows.items()),
            *((f"records {kind}", count) for kind, count in sorted(self.kinds.items())),
            *self.more.items(),
        ]
        after = "seconds from the last blow to the last job's end: median, longest"
        failed = ", ".join(map(str, self.failed)) or "none"
        lines = [
            "| what | how often |",
            "|---|---:|",
            *(f"| {what} | {count:,} |" for what, count in counts),
            f"| seconds a run: median, longest | {_median_and_longest(self.seconds)} |",
            f"| {after} | {_median_and_longest(self.seconds_after)} |",
            f"| **seeds with a broken promise** | **{failed}** |",
        ]
        return "\n".join(lines)


def _follow_ups(seen: Seen) -> Mapping[str, int]:
    """How many jobs follow up others, and how many plans were carried out."""
    return {
        "jobs that retry": sum(job.retry_of is not None for job in seen.jobs),
        "jobs that undo": sum(job.undo_of is not None for job in seen.jobs),
        "jobs that verify": sum(job.verify_of is not None for job in seen.jobs),
        "plans that were made": sum(bool(job.planned) and job.is_original for job in seen.jobs),
        "plans that were carried out": sum(attempt.is_applied for attempt in seen.attempts),
    }


def _median_and_longest(values: Sequence[float]) -> str:
    return f"{sorted(values)[len(values) // 2]:.1f}, {max(values):.1f}"
