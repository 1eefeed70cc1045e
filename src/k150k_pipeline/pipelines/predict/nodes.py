"""Node of predict: MOS from the current model set."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from k150k_pipeline.datasets import ModelSet
from k150k_pipeline.errors import ClipError, InputError
from k150k_pipeline.mos.engines import disagreement, engines_of_file
from k150k_pipeline.mos.predict import ONNX, SIDECAR, OnnxHead, outside
from k150k_pipeline.mos.table import add_metadata, few, read_frame, read_rows
from k150k_pipeline.plural import counted
from k150k_pipeline.schemas.encoder_vocabulary import UGC_MIXED
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import PredictParameters
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import decide_backend, make_engine
from k150k_pipeline.vmaf.aggregate import aggregate
from k150k_pipeline.vmaf.isolated_scoring import IsolatedScorer
from k150k_pipeline.vmaf.plans import IDENTITY

logger = logging.getLogger(__name__)

_SHOWN = 20


def predict(model_set: ModelSet, predict: PredictParameters, vmaf: VmafParameters) -> pd.DataFrame:
    """Predict MOS for a clip, or for every row of a features parquet; log one line per clip.

    Args:
        model_set: The current model set.
        predict: Block ``predict``.
        vmaf: Block ``vmaf``: the engine that scores a clip.

    Returns:
        ``clip_name``, ``predicted_mos``, ``outside`` (whether the clip is unlike those of the
        training; empty if the model set records no ranges) and ``outside_columns`` (the columns
        that say so, separated by blanks).

    Raises:
        InputError: No source is named, it cannot be read, columns are missing, or
            ``predict.outside`` refuses a value.
    """
    source = predict.source
    if source is None:
        raise InputError(
            "predict.source names no clip or parquet: give --params predict.source=CLIP_OR_PARQUET"
        )
    facts = json.loads(model_set.files[SIDECAR])
    if source.suffix == ".parquet":
        frame, engines = _read_features(source, predict), engines_of_file(source)
    else:
        vmaf = decide_backend(vmaf)
        frame = _score_clip(source, predict, vmaf, facts)
        engines = {"": make_engine(vmaf).identify().as_dict()}
    if warning := disagreement(engines, facts["data"]["scored_with"], str(source)):
        logger.warning("%s", warning)
    model = OnnxHead(model_set.files[ONNX])
    result = _predict(model, _complete(frame, model, source, predict), facts, predict)
    rows = result.drop(columns="outside").to_string(index=False, header=False, max_rows=_SHOWN)
    logger.info("Predicted MOS:\n%s", rows)
    return result


def _complete(
    frame: pd.DataFrame, model: OnnxHead, source: Path, predict: PredictParameters
) -> pd.DataFrame:
    """Return the frame with empty columns for those that it lacks, or refuse it."""
    absent = model.missing(frame.columns)
    if not absent:
        return frame
    if predict.missing == "refuse":
        raise InputError(
            f"{source} lacks columns that the model needs: {', '.join(absent)}. Give "
            "predict.corpus_jsonl for metadata, or predict.missing=impute to use medians"
        )
    logger.warning(
        "Medians of the training clips stand for %s: predictions are rough", ", ".join(absent)
    )
    return frame.assign(**dict.fromkeys(absent, np.nan))


def _predict(
    model: OnnxHead, frame: pd.DataFrame, facts: dict[str, Any], predict: PredictParameters
) -> pd.DataFrame:
    flags = outside(frame, facts)
    _report_outside(flags, frame, facts, predict)
    return pd.DataFrame(
        {
            "clip_name": frame["clip_name"],
            "predicted_mos": model.predict(frame),
            "outside": flags.any(axis=1) if len(flags.columns) else None,
            "outside_columns": [" ".join(flags.columns[row]) for row in flags.to_numpy(dtype=bool)],
        }
    )


def _read_features(source: Path, predict: PredictParameters) -> pd.DataFrame:
    features = read_frame(source, "predict.source")
    if "clip_name" not in features.columns:
        raise InputError(
            f"predict.source: {source} has no column clip_name: give a features parquet, or a clip"
        )
    if predict.corpus_jsonl is None:
        return features
    corpus = read_rows(predict.corpus_jsonl, "predict.corpus_jsonl")
    return add_metadata(features, corpus, predict.corpus)


def _score_clip(
    source: Path, predict: PredictParameters, vmaf: VmafParameters, facts: dict[str, Any]
) -> pd.DataFrame:
    scorer = IsolatedScorer(vmaf, predict.memory_limit_mb, predict.probe_timeout_s)
    try:
        clip = scorer.probe(source)
        values = aggregate(scorer.score(clip, IDENTITY).values)
    except ClipError as error:
        raise InputError(f"predict.source: {error}") from error
    size = source.stat().st_size
    row = {
        "clip_name": source.name,
        "width": clip.width,
        "height": clip.height,
        "framerate": clip.framerate or np.nan,
        "duration_s": clip.duration_s or np.nan,
        "src_size_bytes": size,
        "bitrate_kbps": size * 8 / 1000 / clip.duration_s if clip.duration_s else np.nan,
        f"encoder_{UGC_MIXED}": 1.0,
        **dict(zip(VALUE_COLUMNS, values, strict=True)),
    }
    slots = {f"encoder_{name}": 0.0 for name in facts["encoder_vocabulary"]["slots"]}
    return pd.DataFrame([{**slots, **row}])


def _report_outside(
    flags: pd.DataFrame, frame: pd.DataFrame, facts: dict[str, Any], predict: PredictParameters
) -> None:
    """Warn of clips that are unlike those of the training, or refuse them."""
    if not all("low" in entry for entry in facts["inputs"]):
        older = (
            "the model set is of an older version and does not record the ranges that it was "
            "trained on, so clips outside them are not found: run mos_head again"
        )
        if predict.outside == "refuse":
            raise InputError(f"predict.outside=refuse: {older}")
        logger.warning("%s", older)
    clips = frame.loc[flags.any(axis=1), "clip_name"]
    if clips.empty:
        return
    found = {column: int(flags[column].sum()) for column in flags if flags[column].any()}
    columns = ", ".join(f"{column} ({counted(n, 'clip')})" for column, n in found.items())
    message = (
        f"{len(clips):,} of {counted(len(frame), 'clip')} {'is' if len(clips) == 1 else 'are'} "
        f"outside what the model was trained on: {few(clips)}. By column: {columns}"
    )
    if predict.outside == "refuse":
        raise InputError(
            f"{predict.source}: {message}. Train on such clips, or set predict.outside=clip"
        )
    logger.warning("%s. Their values are clipped to the trained range: MOS is a guess", message)
