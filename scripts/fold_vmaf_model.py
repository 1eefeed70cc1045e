"""Write the VMAF models of this package from Netflix's vmaf_v0.6.1.json.

Usage: ``python scripts/fold_vmaf_model.py MODEL.json FOLDER``. The model comes with libvmaf, and in
the ``vmaf_models`` folder of the ffmpeg-quality-metrics wheel. FOLDER gets the one-feature model of
identity pairs, and the six-feature model in the same form.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

IDENTITY_POINT = {
    "adm2": 1.000001,
    "vif_scale0": 0.999991,
    "vif_scale1": 0.999992,
    "vif_scale2": 0.999992,
    "vif_scale3": 0.999992,
}
"""What libvmaf typically returns for a frame against itself; integer arithmetic gives not 1."""

_FREE = "motion2"


def fold(text: bytes) -> dict[str, Any]:
    """Return the folded model of a libvmaf model file with an RBF nu-SVR inside."""
    model = json.loads(text)["model_dict"]
    header, vectors = _parse_svm(model["model"])
    gamma = float(header["gamma"])
    names = [_short(name) for name in model["feature_names"]]
    slopes, intercepts = model["slopes"][1:], model["intercepts"][1:]
    scaled = {
        name: slopes[i] * IDENTITY_POINT[name] + intercepts[i]
        for i, name in enumerate(names)
        if name != _FREE
    }
    free = names.index(_FREE)
    return {
        "source": "vmaf_v0.6.1.json of Netflix/vmaf",
        "source_sha256": hashlib.sha256(text).hexdigest(),
        "licence": "BSD-2-Clause-Patent, Copyright Netflix, Inc.",
        "fixed_features": IDENTITY_POINT,
        "gamma": gamma,
        "rho": float(header["rho"]),
        "target_slope": model["slopes"][0],
        "target_intercept": model["intercepts"][0],
        "motion2_slope": slopes[free],
        "motion2_intercept": intercepts[free],
        "score_clip": model["score_clip"],
        "support_vectors": [vector[free] for _, vector in vectors],
        "coefficients": [
            coefficient * math.exp(-gamma * _distance(vector, names, scaled))
            for coefficient, vector in vectors
        ],
    }


def whole(text: bytes) -> dict[str, Any]:
    """Return the six-feature model of a libvmaf model file with an RBF nu-SVR inside."""
    model = json.loads(text)["model_dict"]
    header, vectors = _parse_svm(model["model"])
    return {
        "source": "vmaf_v0.6.1.json of Netflix/vmaf",
        "source_sha256": hashlib.sha256(text).hexdigest(),
        "licence": "BSD-2-Clause-Patent, Copyright Netflix, Inc.",
        "features": [_short(name) for name in model["feature_names"]],
        "slopes": model["slopes"][1:],
        "intercepts": model["intercepts"][1:],
        "gamma": float(header["gamma"]),
        "rho": float(header["rho"]),
        "target_slope": model["slopes"][0],
        "target_intercept": model["intercepts"][0],
        "score_clip": model["score_clip"],
        "support_vectors": [vector for _, vector in vectors],
        "coefficients": [coefficient for coefficient, _ in vectors],
    }


def _distance(vector: list[float], names: list[str], scaled: dict[str, float]) -> float:
    return sum((scaled[n] - v) ** 2 for n, v in zip(names, vector, strict=True) if n in scaled)


def _parse_svm(text: str) -> tuple[dict[str, str], list[tuple[float, list[float]]]]:
    head, body = text.split("SV\n", 1)
    header = dict(line.split(" ", 1) for line in head.strip().splitlines())
    vectors = []
    for line in body.strip().splitlines():
        coefficient, *pairs = line.split()
        sparse = {int(index): float(value) for index, value in (p.split(":") for p in pairs)}
        vectors.append((float(coefficient), [sparse.get(i, 0.0) for i in range(1, 7)]))
    return header, vectors


def _short(name: str) -> str:
    return name.removeprefix("VMAF_integer_feature_").removesuffix("_score")


if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    for make, name in ((fold, "identity"), (whole, "pairs")):
        text = json.dumps(make(source.read_bytes()), indent=1) + "\n"
        (folder / f"vmaf_v0.6.1_{name}.json").write_text(text, encoding="utf-8")
