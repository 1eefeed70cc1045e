"""The label ceiling: the scores of a perfect predictor, given the noise of the labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.metrics import srocc
from k150k_pipeline.mos.types import Floats
from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN
from k150k_pipeline.schemas.labels import NAME_COLUMNS, VOTE_COLUMNS, Columns
from k150k_pipeline.schemas.mos_parameters import CeilingParameters
from k150k_pipeline.tables import open_table

_WHOLE_TOLERANCE = 1e-6
_SEED = 150_000
_SIMULATED_CLIPS = 100_000
_GRID, _OUTCOMES, _ITERATIONS = 120, 1200, 3000
_MAX_SOURCES = 20
_TINY = 1e-300
_LEAST_GAIN = 0.02  # of log-likelihood, in one iteration
_SCALE = np.arange(1.0, 6.0)
_NORMAL_95 = 1.96
_RANK_ERROR = 0.01  # of the SROCC, for opinions that the deconvolution fits least


@dataclass(frozen=True)
class Ceiling:
    """The scores that no predictor can exceed, except by luck.

    Attributes:
        plcc: Correlation of the true opinions with the labels.
        plcc_high: Upper end of its 95 % interval, which narrows with the number of labels.
        srocc: Their rank correlation.
        rmse: Root of the labels' mean error variance, which is a perfect predictor's RMSE.
        label_sd: Standard deviation of the labels.
        true_sd: Standard deviation of the true opinions.
        votes: Harmonic mean of the votes per clip.
        vote_sd: Root of the mean variance of one vote.
        source: Where the number of votes and their SD are from.
    """

    plcc: float
    plcc_high: float
    srocc: float
    rmse: float
    label_sd: float
    true_sd: float
    votes: float
    vote_sd: float
    source: str

    def as_dict(self) -> dict[str, float | str]:
        """Return the fields as a plain mapping."""
        return asdict(self)

    def highest(self, contents: int) -> tuple[float, float]:
        """Return the PLCC and SROCC above which a score is not explained by luck.

        They are the upper ends of the 95 % intervals of a perfect predictor's scores: its luck on
        the judged contents, and the error of the ceiling itself, by Fisher's transformation.

        Args:
            contents: Contents that the model is judged on.
        """
        return self._ends(contents, +1)

    def lowest(self, contents: int) -> tuple[float, float]:
        """Return the lower ends of the same intervals, of PLCC and SROCC.

        Args:
            contents: Contents that the model is judged on.
        """
        return self._ends(contents, -1)

    def _ends(self, contents: int, side: int) -> tuple[float, float]:
        own = _fisher(self.plcc_high) - _fisher(self.plcc)
        luck = _NORMAL_95 / np.sqrt(max(contents - 3, 1))
        of_ranks = luck * np.sqrt(1 + self.srocc**2 / 2)
        plcc = np.tanh(_fisher(self.plcc) + side * np.hypot(own, luck))
        srocc = np.tanh(_fisher(self.srocc) + side * np.hypot(own, of_ranks))
        return float(plcc), min(float(srocc) + side * _RANK_ERROR, 1.0)


def label_ceiling(labels: Floats, votes: Floats, vote_sd: Floats, source: str) -> Ceiling:
    """Estimate the ceiling of a set of labels.

    A label is the true opinion plus an error of variance ``vote_sd² / votes``. The variance of the
    true opinions is that of the labels less that of the errors. PLCC follows in closed form, for
    any distribution of the true opinions. SROCC depends on this distribution, which is estimated
    by deconvolution; SROCC is then simulated.

    Args:
        labels: MOS, shape (clips,).
        votes: Number of votes behind each label, shape (clips,).
        vote_sd: Standard deviation of one vote (ddof 1) per clip, shape (clips,).
        source: Where number and SD of the votes are from, for the report.
    """
    error_variance = float(np.mean(vote_sd**2 / votes))
    label_variance = float(np.var(labels, ddof=1)) if len(labels) > 1 else 0.0
    true_variance = max(label_variance - error_variance, 0.0)
    share = true_variance / label_variance if label_variance else 0.0
    high = min(share + _NORMAL_95 * _share_error(labels, vote_sd**2 / votes), 1.0)
    return Ceiling(
        plcc=float(np.sqrt(share)),
        plcc_high=float(np.sqrt(high)),
        srocc=_rank_ceiling(labels, votes, vote_sd, float(np.sqrt(true_variance)))
        if share
        else 0.0,
        rmse=float(np.sqrt(error_variance)),
        label_sd=float(np.sqrt(label_variance)),
        true_sd=float(np.sqrt(true_variance)),
        votes=float(1 / np.mean(1 / votes)),
        vote_sd=float(np.sqrt(np.mean(vote_sd**2))),
        source=source,
    )


def _share_error(labels: Floats, error_variances: Floats) -> float:
    """Return the standard error of the share of the labels' variance that is true opinion."""
    squares = (labels - labels.mean()) ** 2
    if not squares.any():
        return 0.0
    noise = error_variances.mean() / squares.mean()
    relative = [values.std() / values.mean() for values in (squares, error_variances) if noise]
    return float(noise * np.hypot.reduce(relative or [0.0]) / np.sqrt(len(labels)))


def _fisher(correlation: float) -> float:
    return float(np.arctanh(min(correlation, 1 - 1e-12)))


def votes_per_clip(votes: pd.DataFrame) -> pd.DataFrame:
    """Return number and SD of the votes of each clip.

    Args:
        votes: One row per vote; columns as ingest accepts them.

    Returns:
        Columns ``votes`` and ``vote_sd`` by clip name. The SD is pooled over all clips, as five
        votes alone show little of a clip's spread.

    Raises:
        InputError: A column is missing, or no clip has two votes.
    """
    columns = Columns([str(column) for column in votes.columns], "votes CSV")
    name = columns.require(NAME_COLUMNS, "clip names")
    value = columns.require(VOTE_COLUMNS, "votes")
    scores = pd.to_numeric(votes.iloc[:, value], errors="coerce")
    by_clip = scores.groupby(votes.iloc[:, name]).agg(["count", "var"])
    several = by_clip[by_clip["count"] > 1]
    if several.empty:
        raise InputError(
            "votes CSV: no clip has two votes, so their spread is unknown. Give a table with a row "
            "for each vote, or none"
        )
    freedom = several["count"] - 1
    pooled = float(np.sqrt((several["var"] * freedom).sum() / freedom.sum()))
    return pd.DataFrame({"votes": by_clip["count"].astype(float), "vote_sd": pooled})


def counted_votes(parameters: CeilingParameters, *, of_judge: bool) -> pd.DataFrame | None:
    """Return number and SD of the votes per clip from the votes CSV; None if there is none.

    Args:
        parameters: Block ``mos_head.ceiling``.
        of_judge: Whether the judge's labels are meant rather than those of the table.

    Raises:
        InputError: The CSV cannot be read or used.
    """
    path = parameters.judge_votes_csv if of_judge else parameters.votes_csv
    if path is None:
        return None
    name = "judge_votes_csv" if of_judge else "votes_csv"
    return votes_per_clip(_read_csv(path, f"mos_head.ceiling.{name}"))


def _read_csv(path: Path, parameter: str) -> pd.DataFrame:
    try:
        with open_table(path) as (header, rows):
            cells = [row[: len(header)] for _, row in rows]
    except InputError as error:
        raise InputError(f"{parameter}: {error}") from error
    return pd.DataFrame(cells, columns=header, dtype=str)


@dataclass(frozen=True)
class _Source:
    """How labels arise from true opinions, for clips with errors of one size.

    Attributes:
        share: Share of the clips.
        true: True opinion per grid point, shape (grid,).
        outcomes: Possible labels, shape (outcomes,).
        chances: Probability of each outcome at each grid point, shape (grid, outcomes).
        seen: Number of clips with each outcome, shape (outcomes,).
    """

    share: float
    true: Floats
    outcomes: Floats
    chances: Floats
    seen: Floats


def _rank_ceiling(labels: Floats, votes: Floats, vote_sd: Floats, true_sd: float) -> float:
    countable = len(np.unique(votes)) <= _MAX_SOURCES and _are_whole_votes(labels, votes)
    sources = (_whole_votes if countable else _normal_errors)(labels, votes, vote_sd, true_sd)
    weights = _deconvolve(sources, true_sd)
    random = np.random.default_rng(_SEED)
    pairs = [_draw(source, weights, random) for source in sources]
    true, simulated = np.concatenate(pairs, axis=1)
    rank = srocc(simulated, true)
    return 0.0 if np.isnan(rank) else rank


def _deconvolve(sources: list[_Source], true_sd: float) -> Floats:
    """Return the share of each true opinion, shape (grid,).

    Expectation-maximisation starts from a normal distribution and stops when an iteration makes
    the labels hardly more likely: more iterations would fit their noise.
    """
    likelihood = np.concatenate([source.chances.T[source.seen > 0] for source in sources])
    seen = np.concatenate([source.seen[source.seen > 0] for source in sources])
    true = sources[0].true
    mean = np.average(
        np.concatenate([source.outcomes[source.seen > 0] for source in sources]), weights=seen
    )
    weights = np.exp(-0.5 * ((true - mean) / true_sd) ** 2) * np.gradient(true) + _TINY
    weights /= weights.sum()
    before = -np.inf
    for _ in range(_ITERATIONS):
        joint = likelihood * weights
        chances = np.maximum(joint.sum(axis=1), _TINY)
        now = float(seen @ np.log(chances))
        if now - before < _LEAST_GAIN:
            break
        before = now
        weights = (seen / seen.sum()) @ (joint / chances[:, np.newaxis])
    shares: Floats = weights / weights.sum()
    return shares


def _draw(source: _Source, weights: Floats, random: np.random.Generator) -> Floats:
    """Return true opinions and labels of simulated clips, shape (2, clips)."""
    points = random.choice(_GRID, size=max(round(source.share * _SIMULATED_CLIPS), 1), p=weights)
    steps = np.cumsum(source.chances, axis=1)
    height = random.random(len(points)) * steps[points, -1]
    outcome = (steps[points] < height[:, np.newaxis]).sum(axis=1)
    return np.stack([source.true[points], source.outcomes[outcome]])


def _normal_errors(labels: Floats, votes: Floats, vote_sd: Floats, _: float) -> list[_Source]:
    """Return one source per size of error; errors are normal."""
    grid = np.linspace(labels.min(), labels.max(), _GRID)
    step = grid[1] - grid[0]
    errors = vote_sd / np.sqrt(votes)
    classes = _classes(errors)
    sources = []
    for code in np.unique(classes):
        members = classes == code
        width = max(float(np.sqrt(np.mean(errors[members] ** 2))), step / 2)
        reach = 4 * width
        outcomes = np.linspace(grid[0] - reach, grid[-1] + reach, _OUTCOMES)
        nearest = np.searchsorted((outcomes[1:] + outcomes[:-1]) / 2, labels[members])
        seen = np.bincount(nearest, minlength=_OUTCOMES).astype(float)
        chances = np.exp(-0.5 * ((outcomes - grid[:, np.newaxis]) / width) ** 2)
        chances /= chances.sum(axis=1, keepdims=True)
        sources.append(_Source(float(members.mean()), grid, outcomes, chances, seen))
    return sources


def _whole_votes(labels: Floats, votes: Floats, vote_sd: Floats, true_sd: float) -> list[_Source]:
    """Return one source per number of votes; a vote is a latent opinion rounded to 1, 2, … 5."""
    latent = np.linspace(MOS_MIN - 0.5, MOS_MAX + 0.5, _GRID)
    shrunk = labels.mean() + (labels - labels.mean()) * true_sd / labels.std()
    chances = _vote_chances(latent, _latent_sd(shrunk, float(np.sqrt(np.mean(vote_sd**2)))))
    true = chances @ _SCALE
    sources = []
    for number in np.unique(votes).astype(int):
        members = votes == number
        sums = np.arange(number * MOS_MIN, number * MOS_MAX + 1)
        seen = np.bincount(
            np.rint(labels[members] * number).astype(int) - int(sums[0]), minlength=len(sums)
        )
        of_sums = _chances_of_sums(chances, number)
        sources.append(
            _Source(float(members.mean()), true, sums / number, of_sums, seen.astype(float))
        )
    return sources


def _vote_chances(latent: Floats, sd: float) -> Floats:
    """Return the probabilities of the votes 1–5 for latent opinions, shape (opinions, 5)."""
    edges = np.concatenate([[-np.inf], _SCALE[1:] - 0.5, [np.inf]])
    below: Floats = special.ndtr((edges - latent[:, np.newaxis]) / sd)
    chances: Floats = np.diff(below, axis=1)
    return chances


def _latent_sd(labels: Floats, vote_sd: float) -> float:
    """Return the SD of latent votes at which the rounded votes have the SD ``vote_sd``."""

    def excess(sd: float) -> float:
        chances = _vote_chances(labels, sd)
        variance = chances @ _SCALE**2 - (chances @ _SCALE) ** 2
        return float(np.sqrt(variance.mean())) - vote_sd

    low, high = 0.05, 10.0
    if excess(low) >= 0 or excess(high) <= 0:
        return float(np.clip(vote_sd, low, high))
    return float(optimize.brentq(excess, low, high, xtol=1e-4))


def _chances_of_sums(chances: Floats, number: int) -> Floats:
    """Return the probabilities of the sums of ``number`` votes, shape (opinions, 4 number + 1)."""
    total = np.ones((len(chances), 1))
    for _ in range(number):
        wider = np.zeros((len(chances), total.shape[1] + len(_SCALE) - 1))
        for vote in range(len(_SCALE)):
            wider[:, vote : vote + total.shape[1]] += total * chances[:, vote : vote + 1]
        total = wider
    return total


def _classes(errors: Floats) -> npt.NDArray[np.intp]:
    """Return a class per clip, such that the errors within a class are about equal."""
    edges = np.quantile(errors, np.linspace(0, 1, _MAX_SOURCES + 1)[1:-1])
    classes: npt.NDArray[np.intp] = np.searchsorted(np.unique(edges), errors)
    return classes


def _are_whole_votes(labels: Floats, votes: Floats) -> bool:
    """Whether every label can be the mean of its whole-number votes from 1 to 5."""
    sums = labels * votes
    whole = np.abs(sums - np.rint(sums)).max() < _WHOLE_TOLERANCE
    in_range = labels.min() >= MOS_MIN and labels.max() <= MOS_MAX
    return bool(whole and in_range and (votes == np.rint(votes)).all())
