"""A fitted head as an ONNX graph that takes raw columns and returns MOS.

Except for tree ensembles, the graph is plain arithmetic in double precision: onnxruntime's SVR
operator computes in single precision, which is off by more than 1e-4 here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.models import SEED_MATTERS, Head, Preparation
from k150k_pipeline.mos.predict import OnnxHead
from k150k_pipeline.mos.types import Floats
from k150k_pipeline.schemas.mos_parameters import CLAMP

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
TOLERANCE = 1e-5
OUTPUT = "mos"


def to_onnx(head: Head, metadata: Mapping[str, str]) -> bytes:
    """Return the model file.

    There is one input per column, of its name, double, shape (batch, 1); NaN and infinity count
    as missing. The output ``mos`` has shape (batch, 1). Imputation, scaling and clamp are inside.

    Args:
        head: Fitted model.
        metadata: Texts to store in the file.
    """
    graph = _Graph()
    _add_head(graph, head)
    columns = head.preparation.columns
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "mos_head",
            [helper.make_tensor_value_info(c, TensorProto.DOUBLE, ["batch", 1]) for c in columns],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, ["batch", 1])],
            graph.constants,
        ),
        opset_imports=[
            helper.make_opsetid("", OPSET),
            helper.make_opsetid("ai.onnx.ml", ML_OPSET),
        ],
        ir_version=IR_VERSION,
        producer_name="k150k-pipeline",
    )
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def check_export(content: bytes, head: Head, frame: pd.DataFrame, seed: int = 0) -> float:
    """Compare the file with the model on training, random and edge inputs.

    Returns:
        Largest absolute difference in MOS.

    Raises:
        InputError: It is above ``TOLERANCE``.
    """
    session = OnnxHead(content)
    inputs = probe_inputs(frame, head.preparation.columns, seed)
    difference = float(np.abs(session.predict(inputs) - head.predict(inputs)).max())
    if not difference <= TOLERANCE:
        raise InputError(
            f"the ONNX file and the {head.kind} model differ by {difference:.2g} MOS, more than "
            f"{TOLERANCE:g}, so nothing is exported: please report this"
        )
    return difference


def probe_inputs(frame: pd.DataFrame, columns: Sequence[str], seed: int) -> pd.DataFrame:
    """Return rows of the table, random rows around them, and edge cases.

    In the edge cases all values are the smallest, the largest, zero, very large, very small,
    missing or infinite.
    """
    raw = frame[list(columns)].to_numpy(dtype=float)
    random = np.random.default_rng(seed)
    finite = np.where(np.isfinite(raw), raw, np.nan)
    low, high = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    spread = low + (high - low) * random.uniform(-1, 2, size=(512, len(columns)))
    spread[random.random(spread.shape) < 0.1] = np.nan
    edges = np.stack(
        [
            low,
            high,
            np.zeros(len(columns)),
            np.full(len(columns), 1e12),
            np.full(len(columns), -1e12),
            np.full(len(columns), np.nan),
            np.full(len(columns), np.inf),
            np.full(len(columns), -np.inf),
        ]
    )
    return pd.DataFrame(np.concatenate([raw[:512], spread, edges]), columns=list(columns))


class _Graph:
    """Nodes and constants of a graph while it is built."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any) -> str:
        """Add a double constant and return its name."""
        name = f"_c{len(self.constants)}"
        array = np.asarray(value, dtype=np.float64)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **options: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"_n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **options))
        return name


def _add_head(graph: _Graph, head: Head) -> None:
    prepared = _add_preparation(graph, head.preparation)
    members = head.members if SEED_MATTERS[head.kind] else head.members[:1]  # else all are equal
    outputs = [_MEMBERS[head.kind](graph, member, prepared) for member in members]
    total = outputs[0] if len(outputs) == 1 else graph.add("Sum", *outputs)
    mean = graph.add("Div", total, graph.constant(float(len(outputs))))
    scaled = graph.add("Mul", mean, graph.constant(head.target_scale))
    mos = graph.add("Add", scaled, graph.constant(head.target_mean))
    graph.add("Clip", mos, *(graph.constant(end) for end in CLAMP), output=OUTPUT)


def _add_preparation(graph: _Graph, preparation: Preparation) -> str:
    given = graph.add("Concat", *preparation.columns, axis=1)
    single = graph.add("Cast", given, to=TensorProto.FLOAT)
    raw = graph.add("Cast", single, to=TensorProto.DOUBLE)
    difference = graph.add("Sub", raw, raw)  # 0, or NaN where the input is NaN or infinite
    missing = graph.add("IsNaN", difference)
    filled = graph.add("Where", missing, graph.constant(preparation.fill), raw)
    raised = graph.add("Max", filled, graph.constant(preparation.low))
    clipped = graph.add("Min", raised, graph.constant(preparation.high))
    centred = graph.add("Sub", clipped, graph.constant(preparation.mean))
    return graph.add("Div", centred, graph.constant(preparation.scale))


def _ridge(graph: _Graph, member: Any, prepared: str) -> str:
    product = graph.add("MatMul", prepared, graph.constant(member.coef_.reshape(-1, 1)))
    return graph.add("Add", product, graph.constant(float(member.intercept_)))


def _svr(graph: _Graph, member: Any, prepared: str) -> str:
    """Add an SVR; its RBF kernel uses |x - s|² = |x|² + |s|² - 2 x·s."""
    vectors: Floats = member.support_vectors_
    square = graph.add("Mul", prepared, prepared)
    ones = graph.constant(np.ones((vectors.shape[1], 1)))
    input_norm = graph.add("MatMul", square, ones)
    vector_norms = graph.constant((vectors**2).sum(axis=1).reshape(1, -1))
    cross = graph.add("MatMul", prepared, graph.constant(-2 * vectors.T))
    distance = graph.add("Add", graph.add("Add", cross, input_norm), vector_norms)
    exponent = graph.add("Mul", distance, graph.constant(-float(member._gamma)))
    kernel = graph.add("Exp", exponent)
    sum_ = graph.add("MatMul", kernel, graph.constant(member.dual_coef_.reshape(-1, 1)))
    return graph.add("Add", sum_, graph.constant(float(member.intercept_[0])))


def _mlp(graph: _Graph, member: Any, prepared: str) -> str:
    value = prepared
    layers = list(zip(member.coefs_, member.intercepts_, strict=True))
    for index, (weights, bias) in enumerate(layers):
        value = graph.add("MatMul", value, graph.constant(weights))
        value = graph.add("Add", value, graph.constant(bias))
        if index < len(layers) - 1:
            value = graph.add("Relu", value)
    return value


def _trees(graph: _Graph, member: Any, prepared: str) -> str:
    """Add one tree-ensemble node; its thresholds and leaves are doubles (ai.onnx.ml 3)."""
    attributes: dict[str, Any] = {key: [] for key in _TREE_KEYS}
    thresholds: list[float] = []
    leaves: list[float] = []
    for tree, (predictor,) in enumerate(member._predictors):
        for node, record in enumerate(predictor.nodes):
            leaf = bool(record["is_leaf"])
            thresholds.append(0.0 if leaf else float(record["num_threshold"]))
            row = (
                tree, node, 0 if leaf else int(record["feature_idx"]),
                "LEAF" if leaf else "BRANCH_LEQ",
                0 if leaf else int(record["left"]), 0 if leaf else int(record["right"]),
            )  # fmt: skip
            for key, item in zip(_TREE_KEYS, row, strict=False):
                attributes[key].append(item)
            if leaf:
                leaves.append(float(record["value"]))
                for key, item in zip(_TREE_KEYS[6:], (tree, node, 0), strict=True):
                    attributes[key].append(item)
    output = graph.add(
        "TreeEnsembleRegressor",
        prepared,
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_values_as_tensor=_doubles("thresholds", thresholds),
        target_weights_as_tensor=_doubles("leaves", leaves),
        **attributes,
    )
    as_double = graph.add("Cast", output, to=TensorProto.DOUBLE)
    return graph.add(
        "Add", as_double, graph.constant(float(member._baseline_prediction.ravel()[0]))
    )


_TREE_KEYS = (
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes",
    "nodes_truenodeids", "nodes_falsenodeids",
    "target_treeids", "target_nodeids", "target_ids",
)  # fmt: skip
_MEMBERS = {"ridge": _ridge, "svr": _svr, "mlp": _mlp, "trees": _trees}


def _doubles(name: str, values: list[float]) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values)
