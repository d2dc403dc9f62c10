"""The line of a seed, and the table of many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from crash.seen import Seen


def line_of(seen: Seen, broken: Sequence[str]) -> str:
    """What came of a seed, on one line."""
    scenario = seen.scenario
    how = f"shared, {scenario.workers} workers" if scenario.is_shared else "embedded"
    if scenario.with_keys:
        how += ", with keys"
    kinds = Counter(kind for job in seen.jobs for kind in job.kinds.values())
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    verdict = f"{len(broken)} BROKEN" if broken else "ok"
    seconds = f"{seen.seconds:.1f} s ({seen.seconds_after:.1f} s after the last blow)"
    return f"seed {scenario.seed}: {verdict}, {seconds}, {how}; {', '.join(seen.blows) or 'no blow'}; {told}"


@dataclass(slots=True)
class Table:
    """What was run, counted."""

    runs: Counter[str] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    more: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    seconds_after: list[float] = field(default_factory=list)

    def add(self, seen: Seen, broken: Sequence[str]) -> None:
        """One more run."""
        self.runs[
            "PostgreSQL, server and workers" if seen.scenario.is_shared else "SQLite, one process"
        ] += 1
        self.runs["with an Idempotency-Key"] += seen.scenario.with_keys
        self.blows.update(seen.blows)
        self.kinds.update(kind for job in seen.jobs for kind in job.kinds.values())
        self.more["jobs acknowledged"] += len({a.job_id for a in seen.attempts} - {None})
        self.more["jobs whose acknowledgement was lost"] += len(seen.jobs) - len(
            {a.job_id for a in seen.attempts} - {None}
        )
        self.more["rows not reached (cancelled)"] += sum(
            (job.records or 0) - len(job.kinds) for job in seen.jobs if job.status == "CANCELLED"
        )
        self.more["records in downloaded files"] += sum(
            len(work.expected)
            for work in seen.scenario.downloads
            for name, _ in seen.files
            if name == work.name
        )
        self.more["callbacks received"] += len(seen.told)
        self.more["requests without an answer, or with 503 or 507"] += seen.failed_answers.total()
        self.seconds.append(seen.seconds)
        self.seconds_after.append(seen.seconds_after)
        if broken:
            self.failed.append(seen.scenario.seed)

    def __str__(self) -> str:
        """As Markdown."""
        rows = [(f"runs: {how}", count) for how, count in sorted(self.runs.items())]
        rows += [(what, count) for what, count in sorted(self.blows.items())]
        rows += [(f"records {kind}", count) for kind, count in sorted(self.kinds.items())]
        rows += list(self.more.items())
        lines = [
            "| what | how often |",
            "|---|---:|",
            *(f"| {what} | {count:,} |" for what, count in rows),
        ]
        if not self.seconds:
            return "nothing was run"
        lines += [
            f"| seconds a run: median, longest | {_median(self.seconds):.1f}, {max(self.seconds):.1f} |"
        ]
        lines += [
            f"| seconds from the last blow to the last job's end: median, longest "
            f"| {_median(self.seconds_after):.1f}, {max(self.seconds_after):.1f} |"
        ]
        failed = ", ".join(map(str, self.failed)) or "none"
        return "\n".join([*lines, f"| **seeds with a broken promise** | **{failed}** |"])


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
