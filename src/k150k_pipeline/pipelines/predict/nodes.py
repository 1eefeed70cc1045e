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
from k150k_pipeline.mos.predict import ONNX, SIDECAR, OnnxHead
from k150k_pipeline.mos.table import add_metadata, read_frame, read_rows
from k150k_pipeline.schemas.encoder_vocabulary import UGC_MIXED
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import PredictParameters
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import make_engine
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
        ``clip_name`` and ``predicted_mos``.

    Raises:
        InputError: No source is named, it cannot be read, or columns are missing.
    """
    source = predict.source
    if source is None:
        raise InputError(
            "predict.source names no clip or parquet: give --params predict.source=CLIP_OR_PARQUET"
        )
    if source.suffix == ".parquet":
        frame = _read_features(source, predict)
    else:
        frame = _score_clip(source, predict, vmaf, json.loads(model_set.files[SIDECAR]))
    model = OnnxHead(model_set.files[ONNX])
    if absent := model.missing(frame.columns):
        if predict.missing == "refuse":
            raise InputError(
                f"{source} lacks columns that the model needs: {', '.join(absent)}. Give "
                "predict.corpus_jsonl for metadata, or predict.missing=impute to use medians"
            )
        logger.warning(
            "Medians of the training clips stand for %s: predictions are rough", ", ".join(absent)
        )
        frame = frame.assign(**dict.fromkeys(absent, np.nan))
    result = pd.DataFrame({"clip_name": frame["clip_name"], "predicted_mos": model.predict(frame)})
    rows = result.to_string(index=False, header=False, max_rows=_SHOWN)
    logger.info("Predicted MOS:\n%s", rows)
    return result


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
    _warn_of_other_engine(make_engine(vmaf).identify().as_dict(), facts)
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


def _warn_of_other_engine(identity: dict[str, str], facts: dict[str, Any]) -> None:
    trained_on = facts["data"]["scored_with"].values()
    if trained_on and not any(
        all(engine.get(key) == value for key, value in identity.items()) for engine in trained_on
    ):
        logger.warning(
            "The model was trained on features of another engine than %s, so predictions may be "
            "off: choose that engine with vmaf.backend, or train on this one's features",
            identity,
        )
