"""Scores and labels as text, for the log and the model card."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from k150k_pipeline.mos.types import CrossValidation, FoldEnsembleScores, TableFacts


def in_digits(value: float, digits: int = 4) -> str:
    """Return a number with a fixed number of decimals."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "undefined"


def labels_in_words(mos: Mapping[str, float]) -> str:
    """Return mean, SD and range of labels as text.

    Args:
        mos: Keys ``mean``, ``sd``, ``lowest`` and ``highest``.
    """
    mean, sd = in_digits(mos["mean"], 3), in_digits(mos["sd"], 3)
    return f"mean {mean}, SD {sd}, range {mos['lowest']:.2f} to {mos['highest']:.2f}"


def describe_table(facts: TableFacts) -> str:
    """Return the facts on a training table as a line of text; the report has all of them."""
    clips = ", ".join(f"{n:,} clips of {corpus}" for corpus, n in facts["clips_per_corpus"].items())
    dropped = Counter(facts["dropped_columns"].values())
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items()) or "none"
    parts = ", ".join(f"{n:,} {part}" for part, n in facts["parts"].items())
    return (
        f"{clips} ({facts['with_corpus_row']:,} with a corpus row): {parts}; MOS "
        f"{labels_in_words(facts['mos'])}; {len(facts['inputs']):,} inputs, candidate columns left "
        f"out: {reasons}"
    )


def ensembles(result: CrossValidation) -> list[FoldEnsembleScores]:
    """Return the scores of the ensemble on every fold."""
    return [fold for fold in result["scores"] if fold["seed"] == "ensemble"]


def describe_folds(result: CrossValidation) -> str:
    """Return a cross-validation as a line of text."""
    mean, folds = result["mean"], ensembles(result)
    failed = sum(not math.isfinite(fold["rmse_logistic"]) for fold in folds)
    why = f" (no curve was found in {failed:,} of {len(folds):,} folds)" if failed else ""
    return (
        f"{result['kind']}: PLCC {in_digits(mean['plcc'])}, SROCC {in_digits(mean['srocc'])}, RMSE "
        f"{in_digits(mean['rmse'])} on average over {len(folds):,} folds; after the logistic fit "
        f"PLCC {in_digits(mean['plcc_logistic'])}, RMSE {in_digits(mean['rmse_logistic'])}{why}; "
        f"spread of PLCC over the folds {in_digits(result['fold_spread'])}"
    )
