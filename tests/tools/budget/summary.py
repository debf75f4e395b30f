"""The distribution of tokens over a data set's texts, and the rows over the budget."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate

from .count import LOSSES, Counted

SHARES = (0.01, 0.25, 0.5, 0.75, 0.95, 0.99)
SHOWN = 10
_WORDS = {"eos": "EOS", "price": "price token", "labels": "all labels of the answer"}


@dataclass
class Summary:
    """Fills batch by batch; of the rows only the first SHOWN of each kind are kept."""

    limit: int
    train_limit: int
    histogram: Counter[int] = field(default_factory=Counter)  # rows by tokens
    over: list[int] = field(default_factory=list)  # row numbers, the first SHOWN
    lost: dict[str, list[int]] = field(default_factory=lambda: {what: [] for what in LOSSES})
    bad: list[str] = field(default_factory=list)  # `row 5: no text`
    rows_lost: Counter[str] = field(default_factory=Counter)  # by LOSSES
    rows_bad: int = 0

    def add(self, counted: Counted) -> None:
        """Count a batch in."""
        self.histogram.update(counted.tokens)
        self.rows_lost.update({what: len(counted.lost[what]) for what in LOSSES})
        self.rows_bad += len(counted.bad)
        pairs = zip(counted.rows, counted.tokens, strict=True)
        self.over += [row.number for row, tokens in pairs if tokens > self.limit]
        for what in LOSSES:
            self.lost[what] += sorted(counted.lost[what])
            del self.lost[what][SHOWN:]
        self.bad += [f"row {row.number}: {row.reason}" for row in counted.bad]
        del self.over[SHOWN:], self.bad[SHOWN:]

    @property
    def rows_over(self) -> int:
        """How many texts take more than `limit` tokens."""
        return sum(rows for tokens, rows in self.histogram.items() if tokens > self.limit)

    @property
    def fits(self) -> bool:
        """Whether every row could be counted and keeps both limits."""
        return not (self.rows_over or self.rows_lost.total() or self.rows_bad)

    def quantile(self, share: float) -> int:
        """The least number of tokens that this share of the texts does not exceed."""
        counts = sorted(self.histogram)
        totals = accumulate(self.histogram[tokens] for tokens in counts)
        enough = share * self.histogram.total()
        return next(n for n, total in zip(counts, totals, strict=True) if total >= enough)

    def text(self) -> str:
        """All figures as lines for a terminal."""
        lines = [f"{self.histogram.total():,} texts counted, {self.rows_bad:,} bad rows"]
        if self.histogram:
            shares = [f"{share:.0%} {self.quantile(share)}" for share in SHARES]
            ends = min(self.histogram), max(self.histogram)
            lines.append(f"tokens: min {ends[0]}, {', '.join(shares)}, max {ends[1]}")
        over = f"more than {self.limit} tokens: {self.rows_over:,} rows"
        lines.append(over + _in_brackets(self.over, self.rows_over))
        for what, rows in ((what, self.rows_lost[what]) for what in LOSSES):
            line = f"{_WORDS[what]} lost at {self.train_limit}: {rows:,} rows"
            lines.append(line + _in_brackets(self.lost[what], rows))
        lines += self.bad
        more = self.rows_bad - len(self.bad)
        return "\n".join([*lines, f"... and {more:,} more bad rows"] if more else lines)


def _in_brackets(numbers: list[int], total: int) -> str:
    if not numbers:
        return ""
    return f" ({', '.join(map(str, numbers))}{', ...' if total > len(numbers) else ''})"
