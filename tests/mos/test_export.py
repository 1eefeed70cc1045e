"""The ONNX file against the model, for every kind, in a process that has nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pandas as pd
import pytest

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.export import check_export, probe_inputs, to_onnx
from k150k_pipeline.mos.models import Head, fit_head
from k150k_pipeline.mos.predict import OnnxHead
from k150k_pipeline.schemas.mos_parameters import MODEL_KINDS
from tests.support.waiting import HANG_GUARD_S

INPUTS = list("abcde")
ALONE = """
import sys
from importlib.abc import MetaPathFinder

class OnlyTwo(MetaPathFinder):
    allowed = {"numpy", "onnxruntime", *sys.stdlib_module_names}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.allowed:
            raise ModuleNotFoundError(f"{name} is not to be had here", name=name)

sys.meta_path.insert(0, OnlyTwo())
try:
    import pandas
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("pandas could be imported: this proves nothing")
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
rows = numpy.load(sys.argv[2])
feeds = {entry.name: rows[entry.name].reshape(-1, 1) for entry in session.get_inputs()}
numpy.save(sys.argv[3], session.run(["mos"], feeds)[0])
third = {n.partition(".")[0] for n in sys.modules} - OnlyTwo.allowed
third = {n for n in third if n[0] != "_" and getattr(sys.modules.get(n), "__file__", None)}
assert not third, third
"""


@pytest.fixture(params=MODEL_KINDS)
def head(request, frame, tiny) -> Head:
    return fit_head(frame, INPUTS, request.param, tiny, tiny.seeds)


def test_file_and_model_agree_to_1e_5(head, frame):
    content = to_onnx(head, {})
    assert check_export(content, head, frame) <= 1e-5
    for seed in range(3):
        inputs = probe_inputs(frame, INPUTS, seed)
        difference = np.abs(OnnxHead(content).predict(inputs) - head.predict(inputs))
        assert difference.max() <= 1e-5
        assert head.predict(inputs).std() > 0.1, "the inputs must reach more than one value"


def test_exact_thresholds_go_the_same_way(frame, tiny):
    """Values that stand on the thresholds of the trees, after imputation and scaling."""
    head = fit_head(frame, INPUTS, "trees", tiny, tiny.seeds)
    preparation = head.preparation
    rows = []
    for (predictor,) in head.members[0]._predictors:
        for node in predictor.nodes[predictor.nodes["is_leaf"] == 0]:
            row, column = preparation.mean.copy(), node["feature_idx"]
            row[column] += node["num_threshold"] * preparation.scale[column]
            rows.append(row)
    edges = pd.DataFrame(np.stack(rows), columns=INPUTS)
    assert len(edges) > 100
    content = to_onnx(head, {})
    assert np.abs(OnnxHead(content).predict(edges) - head.predict(edges)).max() <= 1e-5


def test_file_runs_with_onnxruntime_and_numpy_alone(head, frame, tmp_path):
    model, rows, answer = (str(tmp_path / n) for n in ("m.onnx", "rows.npz", "mos.npy"))
    (tmp_path / "m.onnx").write_bytes(to_onnx(head, {}))
    inputs = probe_inputs(frame, INPUTS, 1)
    np.savez(rows, **{c: inputs[c].to_numpy() for c in INPUTS})
    subprocess.run(
        [sys.executable, "-c", ALONE, model, rows, answer], check=True, timeout=HANG_GUARD_S
    )
    found = np.load(answer)
    assert found.shape == (len(inputs), 1)
    assert np.abs(found[:, 0] - head.predict(inputs)).max() <= 1e-5


def test_shape_of_the_file(head):
    model = onnx.load_from_string(to_onnx(head, {"fingerprint": '"x"'}))
    assert {o.domain: o.version for o in model.opset_import} == {"": 17, "ai.onnx.ml": 3}
    assert [i.name for i in model.graph.input] == INPUTS
    for value in (*model.graph.input, *model.graph.output):
        batch, one = value.type.tensor_type.shape.dim
        assert batch.dim_param == "batch" and one.dim_value == 1
    assert [o.name for o in model.graph.output] == ["mos"]
    assert model.graph.node[-1].op_type == "Clip"


def test_any_batch_and_any_input_stay_within_1_and_5(head, frame):
    session = OnnxHead(to_onnx(head, {}))
    wild = probe_inputs(frame, INPUTS, 2)
    for batch in (0, 1, 2, 7, len(wild)):
        mos = session.predict(wild[:batch])
        assert mos.shape == (batch,)
        assert np.isfinite(mos).all() and ((mos >= 1) & (mos <= 5)).all()


def test_missing_values_are_filled_with_the_training_median(head, frame):
    session = OnnxHead(to_onnx(head, {}))
    median = {c: frame[c].median() for c in INPUTS}
    for gap in (np.nan, np.inf, -np.inf):
        row = pd.DataFrame([{**frame.iloc[1][INPUTS].astype(float), "c": gap}])
        filled = row.assign(c=median["c"])
        assert session.predict(row) == pytest.approx(session.predict(filled), abs=1e-6)


def test_same_seed_same_bytes(head, frame, tiny):
    again = fit_head(frame, INPUTS, head.kind, tiny, tiny.seeds)
    assert to_onnx(again, {}) == to_onnx(head, {})


def test_disagreement_is_refused(frame, tiny):
    head, other = (fit_head(frame, INPUTS, "trees", tiny, (seed,)) for seed in (0, 1))
    with pytest.raises(InputError, match="differ by"):
        check_export(to_onnx(other, {}), head, frame)


def test_absent_columns_are_named(head, frame):
    with pytest.raises(InputError, match="columns that the model needs: b, d"):
        OnnxHead(to_onnx(head, {})).predict(frame[["a", "c", "e"]])
