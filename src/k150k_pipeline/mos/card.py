"""The files of a model set beside the ONNX: sidecar JSON and model card."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy
import onnx
import onnxruntime
import sklearn

from k150k_pipeline import __version__
from k150k_pipeline.mos.engines import in_words
from k150k_pipeline.mos.export import IR_VERSION, OPSET, OUTPUT, TOLERANCE
from k150k_pipeline.mos.gate import describe, title
from k150k_pipeline.mos.models import Head, Preparation
from k150k_pipeline.mos.predict import ONNX
from k150k_pipeline.mos.types import (
    CrossValidation,
    Metric,
    Scores,
    TrainingData,
    Verdict,
    without_nan,
)
from k150k_pipeline.mos.words import ensembles, in_digits, labels_in_words
from k150k_pipeline.schemas.encoder_vocabulary import VOCABULARY_VERSION, vocabulary
from k150k_pipeline.schemas.mos_parameters import CLAMP, MosHeadParameters

_COLUMNS: dict[Metric, str] = {
    "plcc": "PLCC", "srocc": "SROCC", "krocc": "KROCC", "rmse": "RMSE",
    "plcc_logistic": "PLCC after", "rmse_logistic": "RMSE after",
}  # fmt: skip
_SHOWN_FOLDS = 20  # of a kind; the verdict's file has every fold
_OF_INPUTS = ("fill", "mean", "scale", "low", "high")

Sidecar = dict[str, Any]
"""The JSON document that describes an exported model; docs/files.md has its keys."""


def sidecar(
    head: Head,
    content: bytes,
    difference: float,
    data: TrainingData,
    verdict: Verdict,
    parameters: MosHeadParameters,
) -> Sidecar:
    """Return what a user of the ONNX file needs to know; it holds nothing on any single clip.

    Args:
        head: The exported model.
        content: The ONNX file.
        difference: Largest difference between file and model, in MOS.
        data: Fingerprint and counts of the training data.
        verdict: The verdict.
        parameters: Block ``mos_head``.
    """
    return {
        "model": "mos_regressor_v1",
        "kind": head.kind,
        "onnx": {
            "file": ONNX,
            "sha256": hashlib.sha256(content).hexdigest(),
            "opset": OPSET,
            "ir_version": IR_VERSION,
            "output": OUTPUT,
            "largest_difference_from_the_model": difference,
            "tolerance": TOLERANCE,
        },
        "inputs": _describe_inputs(head.preparation),
        "metadata": data["metadata_ranges"],
        "target": {"mean": head.target_mean, "scale": head.target_scale, "clamp": list(CLAMP)},
        "encoder_vocabulary": {"version": VOCABULARY_VERSION, "slots": list(vocabulary())},
        "seeds": list(head.seeds),
        "hyperparameters": getattr(parameters, head.kind).model_dump(),
        "data": data,
        "verdict": verdict["verdict"],
        "scores": without_nan(verdict["scores"]),
        "versions": _versions(),
    }


def _describe_inputs(preparation: Preparation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            **{key: float(getattr(preparation, key)[index]) for key in _OF_INPUTS},
        }
        for index, name in enumerate(preparation.columns)
    ]


def _versions() -> dict[str, str]:
    return {
        "k150k-pipeline": __version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scikit-learn": sklearn.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def model_card(sidecar: Sidecar, verdict: Verdict) -> str:
    """Return the model card in Markdown."""
    data = sidecar["data"]
    inputs = "\n".join(f"- `{entry['name']}`" for entry in sidecar["inputs"])
    return f"""# {sidecar["model"]}: {sidecar["kind"]}

Predicts the mean opinion score (1–5) of a user-generated clip from features of `k150k-pipeline`.
Verdict: **{title(verdict)}**.

## Use

`{ONNX}` (opset {sidecar["onnx"]["opset"]}) takes one double input per column, named as below, of
shape (batch, 1), and returns `{OUTPUT}`, shape (batch, 1). Feed raw values: imputation, scaling,
clipping to the trained range and the clamp to {_range(sidecar["target"]["clamp"])} are inside.
NaN is a missing value.

{inputs}

## Data

- {data["clips_trained_on"]:,} clips of {data["contents_trained_on"]:,} contents were trained on.
- The table has {_counts(data["clips_per_corpus"])}.
- Version of the corpus: {_list(data["corpus_versions"])}.
- MOS: {labels_in_words(data["mos"])}.
- Held out: {data["split_policy"]}.
- Fingerprint: `{data["fingerprint"]}`.
- Features scored with: {in_words(data["scored_with"])}.
{_judge_engines(data)}- Candidate columns left out: {_by_reason(data["dropped_columns"])}.

## How good it is

```
{describe(verdict)}
```

Seeds {_list(map(str, sidecar["seeds"]))}; the exported model is the mean of their members. The
spread is over these seeds on the same clips. {_fold_spread(verdict["fold_spread"])}

Cross-validation of the ensembles, mean over the folds; PLCC and RMSE "after" are after the
four-parameter logistic fit to each fold:

{_mean_table(verdict["cross_validation"].values())}

{_which_folds(verdict["cross_validation"].values())}, with the 95 % interval of PLCC:

{_fold_table(verdict["cross_validation"].values())}

## Limits

- The labels are crowd-sourced opinions of five-second, mostly 540p clips. Nothing is known of other
  lengths, sizes, HDR, or professionally made material.
- On identity pairs (a clip as its own reference) VMAF is a function of motion alone.
- It was chosen among {_list(verdict["cross_validation"])} by cross-validation.

## Licence of the data

KonViD-150k is for research use. {_publishing_note(sidecar["kind"])}
"""


def _judge_engines(data: TrainingData) -> str:
    engines = data["judge_scored_with"]
    return f"- The judge's features scored with: {in_words(engines)}.\n" if engines else ""


def _by_reason(dropped: Mapping[str, str]) -> str:
    reasons = dict.fromkeys(dropped.values())
    return (
        "; ".join(
            f"{reason}: {_list(f'`{name}`' for name, why in dropped.items() if why == reason)}"
            for reason in reasons
        )
        or "none"
    )


def _mean_table(results: Iterable[CrossValidation]) -> str:
    rows = [[r["kind"], *_scores(r["mean"]), in_digits(r["fold_spread"])] for r in results]
    return _markdown(["Model", *_COLUMNS.values(), "PLCC spans"], rows)


def _fold_table(results: Iterable[CrossValidation]) -> str:
    rows = [
        [result["kind"], fold["fold"], *_scores(fold), _interval(fold["intervals"]["plcc"])]
        for result in results
        for fold in ensembles(result)[:_SHOWN_FOLDS]
    ]
    return _markdown(["Model", "Fold", *_COLUMNS.values(), "PLCC, 95 %"], rows)


def _which_folds(results: Iterable[CrossValidation]) -> str:
    folds = max(len(ensembles(result)) for result in results)
    return "Every fold" if folds <= _SHOWN_FOLDS else f"The first {_SHOWN_FOLDS} of {folds} folds"


def _scores(scores: Scores) -> list[str]:
    return [in_digits(scores[metric]) for metric in _COLUMNS]


def _interval(ends: Sequence[float]) -> str:
    low, high = map(in_digits, ends)
    return f"{low} to {high}" if math.isfinite(ends[0]) else low


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _counts(clips: Mapping[str, int]) -> str:
    return _list(f"{count:,} clips of {corpus}" for corpus, count in clips.items())


def _range(ends: Sequence[float]) -> str:
    return f"{ends[0]:g} to {ends[1]:g}"


def _publishing_note(kind: str) -> str:
    if kind == "svr":
        return (
            "The support vectors in the ONNX file are rows of the training table (scaled\n"
            "features of single clips): do not publish this folder."
        )
    return (
        "This folder holds weights and aggregate statistics, no clip,\n"
        "no score and nothing derived from a single clip."
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _fold_spread(value: float) -> str:
    if not math.isfinite(value):
        return "In a fold of cross-validation the PLCC\nis not defined."
    return f"Over the folds of cross-validation, PLCC differs by up\nto {in_digits(value)}."
