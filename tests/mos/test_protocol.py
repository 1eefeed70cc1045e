"""The published protocol against loops written out here, and against scikit-learn's own search."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import optimize, stats
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVR

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.protocol import (
    describe,
    describe_split,
    evaluate,
    run_protocol,
    summarise,
)
from k150k_pipeline.mos.protocol_tables import read_tables
from k150k_pipeline.schemas.mos_parameters import ProtocolParameters

pytestmark = pytest.mark.xdist_group("protocol")  # the plain protocol is run once

GRID = {"c_log2": (1, 5, 3), "gamma_log2": (-6, 0, 3)}
C, GAMMA = np.logspace(1, 5, 3, base=2), np.logspace(-6, 0, 3, base=2)
SEEDS = {"grid": GRID, "splits": 3}
PLAIN = {**SEEDS, "exclude": ["scene"]}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(8)
    x = random.normal(size=(90, 4)) * [1, 5, 20, 0.1] + [0, 3, 40, 1]
    mos = 3 + 0.8 * np.tanh(x[:, 0]) + 0.1 * x[:, 1] + 0.2 * random.normal(size=90)
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"]).assign(mos=mos, name="text")
    frame.loc[5, "b"], frame.loc[40, "c"] = np.nan, np.inf
    frame["scene"] = np.arange(90) // 3
    return frame


@pytest.fixture(scope="module")
def plain(table) -> pd.DataFrame:
    return run_protocol(table, ProtocolParameters.model_validate(PLAIN))


def curve(x, b1, b2, b3, b4):
    return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / np.abs(b4)))


def measures(predicted, true) -> list[float]:
    start = [np.max(true), np.min(true), np.mean(predicted), 0.5]
    found, _ = optimize.curve_fit(curve, predicted, true, p0=start, maxfev=100_000_000)
    mapped = curve(predicted, *found)
    return [
        stats.spearmanr(true, predicted)[0],
        stats.kendalltau(true, predicted)[0],
        stats.pearsonr(true, mapped)[0],
        np.sqrt(np.mean((true - mapped) ** 2)),
    ]


def assert_same(splits: pd.DataFrame, expected: list[list[float]]) -> None:
    found = splits[[f"test_{m}" for m in ("srocc", "krocc", "plcc", "rmse")]].to_numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_inner_holdout_variant(table):
    """Zeros for gaps; C and gamma by RMSE after the fit on a fifth of the training part."""
    x, y = table[list("abcd")].to_numpy(), table["mos"].to_numpy()
    x = np.where(np.isfinite(x), x, 0.0)
    expected, chosen = [], []
    for i in (1, 2, 3):
        xt, xs, yt, ys = train_test_split(x, y, test_size=0.2, random_state=math.ceil(8.8 * i))
        pt, pv, qt, qv = train_test_split(xt, yt, test_size=0.2, random_state=math.ceil(6.6 * i))
        scaler = MinMaxScaler().fit(pt)
        losses = {}
        for c in C:
            for gamma in GAMMA:
                model = SVR(kernel="rbf", C=c, gamma=gamma).fit(scaler.transform(pt), qt)
                losses[c, gamma] = measures(model.predict(scaler.transform(pv)), qv)[3]
        best = min(losses, key=lambda candidate: losses[candidate])
        scaler = MinMaxScaler().fit(xt)
        model = SVR(kernel="rbf", C=best[0], gamma=best[1]).fit(scaler.transform(xt), yt)
        expected.append(measures(model.predict(scaler.transform(xs)), ys))
        chosen.append(best)
    splits = run_protocol(
        table, ProtocolParameters.model_validate({**SEEDS, "columns": list("abcd")})
    )
    assert_same(splits, expected)
    assert list(zip(splits["c"], splits["gamma"], strict=True)) == chosen
    assert splits["seed"].tolist() == [9, 18, 27]


def test_grid_search_variant(table):
    """Means for gaps; scaled before the search; C and gamma by R² over three folds."""
    x, y = table[list("abcd")].to_numpy(), table["mos"].to_numpy()
    x = np.where(np.isfinite(x), x, np.nan)
    x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    expected = []
    for i in (1, 2, 3):
        xt, xs, yt, ys = train_test_split(x, y, test_size=0.2, random_state=math.ceil(8.8 * i))
        scaler = MinMaxScaler((-1, 1)).fit(xt)
        search = GridSearchCV(SVR(), {"C": C, "gamma": GAMMA}, cv=3).fit(scaler.transform(xt), yt)
        expected.append(measures(search.predict(scaler.transform(xs)), ys))
    parameters = {
        **SEEDS,
        "exclude": ["scene"],
        "imputation": {"fill": "mean", "fit": "all"},
        "scaling": {"low": -1, "high": 1, "inner_fit": "train"},
        "inner": {"kind": "kfold", "folds": 3, "criterion": "r2"},
    }
    assert_same(run_protocol(table, ProtocolParameters.model_validate(parameters)), expected)


@pytest.mark.sample(every=4)
@pytest.mark.parametrize(
    "change",
    [
        {"seed_factor": 3.3},
        {"first_split": 0},
        {"seeds": [1, 2, 3]},
        {"test_share": 0.3},
        {"imputation": {"fill": "median"}},
        {"scaling": {"low": -1}},
        {"grid": {**GRID, "epsilon": 0.5}},
        {"grid": {**GRID, "gamma_log2": [-3, -3, 1]}},
        {"inner": {"seed_factor": 1.1}},
        {"inner": {"kind": "kfold", "criterion": "srocc"}},
        {"group_column": "scene"},
        {"clip": [2.9, 3.1]},
        {"grid": {**GRID, "draw": 1, "draw_seed": 5}},
        {"columns": ["a", "b"]},
    ],
    ids=str,
)
def test_every_parameter_counts(table, plain, change):
    other = run_protocol(table, ProtocolParameters.model_validate({**PLAIN, **change}))
    measured = [c for c in plain if c not in ("split", "seed")]
    assert not plain[measured].equals(other[measured])


def test_imputation_and_scaling_can_be_kept_to_the_training_rows(table):
    wild = table.copy()
    wild.loc[::7, "a"] = np.nan
    changes = [
        {"imputation": {"fill": "mean", "fit": fit}, "scaling": {"inner_fit": inner}}
        for fit in ("all", "train")
        for inner in ("train", "inner_train")
    ]
    found = [
        run_protocol(wild, ProtocolParameters.model_validate({**SEEDS, **change}))
        for change in changes
    ]
    assert found[0]["test_plcc"].tolist() != found[2]["test_plcc"].tolist()


def test_published_choices_can_be_given(table):
    block = {**SEEDS, "columns": list("abcd")}
    searched = run_protocol(table, ProtocolParameters.model_validate(block))
    chosen = searched[["c", "gamma"]].to_numpy().tolist()
    given = {**block, "chosen": chosen, "grid": {"c_log2": (9, 9, 1)}}
    repeated = run_protocol(table, ProtocolParameters.model_validate(given))
    pd.testing.assert_frame_equal(repeated, searched)
    with pytest.raises(ValidationError, match="chosen has 1 pairs for 3 splits"):
        ProtocolParameters.model_validate({**block, "chosen": chosen[:1]})


def test_table_of_texts_gives_the_same(table):
    """As a CSV is loaded: every cell a text, empty where there is no value."""
    texts = table.astype(object).where(table.notna(), "").astype(str)
    plain = run_protocol(table, ProtocolParameters.model_validate(PLAIN))
    same = run_protocol(texts, ProtocolParameters.model_validate(PLAIN))
    pd.testing.assert_frame_equal(plain, same)


def test_group_column_keeps_scenes_together(table):
    parameters = ProtocolParameters.model_validate(
        {**SEEDS, "group_column": "scene", "columns": ["a"]}
    )
    from k150k_pipeline.mos.protocol import _divide

    train, test = _divide(90, table["scene"].to_numpy(), 0.2, 9)
    assert not set(table["scene"].iloc[train]) & set(table["scene"].iloc[test])
    assert len(run_protocol(table, parameters)) == 3


def test_shards_give_the_same_splits(table):
    parameters = ProtocolParameters.model_validate({**SEEDS, "columns": list("abcd")})
    parts = [run_protocol(table, parameters, shard, 2) for shard in range(2)]
    together = pd.concat(parts).sort_values("split", ignore_index=True)
    pd.testing.assert_frame_equal(together, run_protocol(table, parameters))


def test_medians_and_sds_are_printed(table):
    splits = run_protocol(table, ProtocolParameters.model_validate({**SEEDS, "columns": ["a"]}))
    text = describe(splits, "videos")
    median, sd = np.median(splits["test_plcc"]), np.std(splits["test_plcc"])
    assert text.startswith("videos: median over 3 splits: SROCC 0.")
    assert f"PLCC {median:.4f} (SD {sd:.4f})" in text and "\n" not in text
    assert summarise(splits)["test_plcc"]["median"] == median
    assert summarise(splits)["test_plcc"]["splits"] == 3


def test_split_is_one_line_when_it_ends(table):
    parameters = ProtocolParameters.model_validate({**SEEDS, "columns": ["a"]})
    rows = evaluate({"videos": table}, parameters)
    first = next(rows)
    line = describe_split(first)
    assert line.startswith(f"videos, split 1, seed 9: C {first['c']:g}, gamma 0.")
    assert f"PLCC {first['test_plcc']:.4f}" in line and "no curve" not in line
    assert [row["split"] for row in rows] == [2, 3], "the others come after it"


def test_splits_of_several_tables_are_those_of_each(table):
    parameters = ProtocolParameters.model_validate({**SEEDS, "columns": ["a", "b"]})
    tables = {"one": table, "two": table[:60]}
    parts = [row for shard in range(4) for row in evaluate(tables, parameters, shard, 4)]
    assert len(parts) == 6
    for name, alone in tables.items():
        found = pd.DataFrame([row for row in parts if row["table"] == name]).sort_values("split")
        expected = run_protocol(alone, parameters)
        pd.testing.assert_frame_equal(
            found.drop(columns="table").reset_index(drop=True), expected, check_dtype=False
        )


def test_last_table_is_checked_before_the_first_split(table):
    parameters = ProtocolParameters.model_validate({**SEEDS, "columns": ["a"]})
    tables = {"one": table, "two": table.drop(columns="mos")}
    with pytest.raises(InputError, match="the table 'two' of the protocol has no column mos"):
        next(evaluate(tables, parameters))


def test_split_without_a_curve_is_named_and_does_not_count(table):
    few = ProtocolParameters.model_validate({**SEEDS, "columns": ["a"]})
    splits = run_protocol(table[:12], few)
    assert splits["test_plcc"].isna().all(), "three clips are too few for four parameters"
    assert describe_split(splits.iloc[0].to_dict()).endswith("the logistic fit found no curve")
    splits.loc[0, ["test_plcc", "test_rmse"]] = 0.5
    text = describe(splits)
    assert "no curve in 2 splits, so PLCC and RMSE are of the other 1" in text
    assert "PLCC 0.5000" in text and summarise(splits)["test_plcc"]["splits"] == 1
    none = describe(splits[1:])
    assert "PLCC undefined" in none and "so PLCC and RMSE are undefined" in none
    assert "nan" not in none


def test_split_of_constant_values_says_so(table):
    flat = ProtocolParameters.model_validate({**SEEDS, "columns": ["a"]})
    splits = run_protocol(table.assign(mos=3.0), flat)
    assert describe_split(splits.iloc[0].to_dict()).endswith("the labels do not vary")
    assert "PLCC undefined" in describe(splits) and "no curve" not in describe(splits)


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("change", [{}, {"group_column": "scene"}, {"inner": {"kind": "kfold"}}])
def test_too_few_rows_are_one_sentence(table, rows, change):
    rows = 3 * rows if "group_column" in change else rows
    with pytest.raises(InputError, match=r"has too few (rows|groups) to split"):
        run_protocol(table[:rows], ProtocolParameters.model_validate({**PLAIN, **change}))
    enough = 12 if "group_column" in change else 5
    assert len(run_protocol(table[:enough], ProtocolParameters.model_validate({**PLAIN, **change})))


def test_tables_of_both_kinds_are_read_by_name(table, tmp_path):
    table.to_parquet(tmp_path / "one.parquet")
    (tmp_path / "two.csv").write_text("a;mos\n1,5;3\n2;4;\n".replace(",", "."))
    read = read_tables([tmp_path / "one.parquet", tmp_path / "two.csv"])
    assert list(read) == ["one", "two"] and len(read["one"]) == 90
    assert read["two"].to_numpy().tolist() == [["1.5", "3"], ["2", "4"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,mos\n1,2,3\n", "a.csv line 2: 3 cells in 2 columns"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"PAR1aaaa", "a.csv is a parquet file"),
        ("a.csv", None, "a.csv does not exist"),
        ("a.parquet", b"a,mos\n", "a.parquet is not a parquet file"),
        ("a.parquet", None, "a.parquet"),
        ("a.mat", b"MATLAB 5.0 MAT-file\x00\x01\xff\xfe" * 9, "a.mat is not a"),
    ],
)
def test_files_that_are_no_tables_are_one_sentence(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"protocol.tables: .*{message}"):
        read_tables([tmp_path / name])


def test_tables_have_names_of_their_own():
    tables = ProtocolParameters.model_validate({"tables": "/a/x.csv+/b/y.parquet"}).tables
    assert [str(path) for path in tables] == ["/a/x.csv", "/b/y.parquet"]
    with pytest.raises(ValidationError, match="tables has several files named x"):
        ProtocolParameters.model_validate({"tables": ["/a/x.csv", "/b/x.parquet"]})
    with pytest.raises(ValidationError, match="chosen holds the values of one table"):
        chosen = [[1, 2], [3, 4]]
        ProtocolParameters.model_validate({"tables": "x+y", "splits": 2, "chosen": chosen})


def test_column_named_twice_is_refused(table):
    twice = pd.concat([table, table[["a"]]], axis=1)
    with pytest.raises(InputError, match="has several columns a"):
        run_protocol(twice, ProtocolParameters.model_validate(PLAIN))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mos_column": "score"}, "no column score"),
        ({"columns": ["a", "z"]}, "no column z"),
        ({"mos_column": "name"}, "values that are not numbers"),
    ],
)
def test_bad_tables_are_refused(table, change, message):
    with pytest.raises(InputError, match=message):
        run_protocol(table, ProtocolParameters.model_validate(change))
