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
from k150k_pipeline.mos.types import CrossValidation, TrainingData, Verdict, without_nan
from k150k_pipeline.schemas.encoder_vocabulary import VOCABULARY_VERSION, vocabulary
from k150k_pipeline.schemas.mos_parameters import CLAMP, MosHeadParameters

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
- MOS: {_mos(data["mos"])}.
- Held out: {data["split_policy"]}.
- Fingerprint: `{data["fingerprint"]}`.
- Features scored with: {in_words(data["scored_with"])}.
{_judge_engines(data)}- Candidate columns left out: {_by_reason(data["dropped_columns"])}.

## How good it is

```
{describe(verdict)}
```

Seeds {_list(map(str, sidecar["seeds"]))}; the exported model is the mean of their members. The
spread is over these seeds on the same clips. Over the folds of cross-validation, PLCC differs by up
to {_number(verdict["fold_spread"])}.

Cross-validation, mean over the folds:

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


def _mos(labels: Mapping[str, float]) -> str:
    ends = f"{labels['lowest']:.2f} to {labels['highest']:.2f}"
    return f"mean {labels['mean']:.3f}, SD {labels['sd']:.3f}, range {ends}"


def _fold_table(results: Iterable[CrossValidation]) -> str:
    lines = ["| Model | PLCC | SROCC | KROCC | RMSE | PLCC spans |", "|---|---|---|---|---|---|"]
    for result in results:
        means = [result["mean"][m] for m in ("plcc", "srocc", "krocc", "rmse")]
        cells = [result["kind"], *map(_number, [*means, result["fold_spread"]])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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


def _number(value: float | None) -> str:
    return "an undefined amount" if value is None or not math.isfinite(value) else f"{value:.4f}"
