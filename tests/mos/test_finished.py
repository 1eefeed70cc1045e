"""Finished parts: kept whole, found by what they were made from, and never trusted if damaged."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.mos import judging, protocol
from k150k_pipeline.mos.finished import Finished
from k150k_pipeline.mos.origins import digest_of_table
from k150k_pipeline.mos.splits import split
from k150k_pipeline.mos.steps import StepsTail
from k150k_pipeline.schemas.mos_parameters import ProtocolParameters

INPUTS = list("abcde")
ORIGIN = {"seeds": [0, 1], "table": "abc"}
SCORES = [
    {"fold": "one", "seed": 0, "plcc": math.nan, "rmse": 0.1 + 0.2, "intervals": {"x": [1.0]}}
]


@pytest.fixture
def kept(tmp_path):
    return Finished(tmp_path / "finished")


def entries(kept: Finished) -> list:
    return sorted(kept.folder.glob("[!.]*.json"))


def test_what_is_kept_comes_back_to_the_last_digit(kept):
    assert kept.look_up("mlp fold 0", ORIGIN) is None
    kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    found = Finished(kept.folder).look_up("mlp fold 0", ORIGIN)
    assert repr(found) == repr(SCORES)
    assert kept.look_up("mlp fold 0", {**ORIGIN, "table": "abd"}) is None
    assert kept.look_up("mlp fold 1", ORIGIN) is None


@pytest.mark.parametrize(
    "damage",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"sha256": 1}', b"[" * 100_000, "a digit", "half"],
)
def test_damaged_result_is_computed_again_with_one_line(kept, damage, caplog):
    kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    (path,) = entries(kept)
    whole = path.read_bytes()
    if damage == "a digit":
        damage = whole.replace(b"0.30000000000000004", b"0.30000000000000009")
    elif damage == "half":
        damage = whole[: len(whole) // 2]
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert kept.look_up("mlp fold 0", ORIGIN) is None
    (line,) = caplog.messages
    assert str(path) in line and "mlp fold 0 is computed again" in line and "\n" not in line
    kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    assert path.read_bytes() == whole


def test_files_of_others_stay(kept):
    kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    (path,) = entries(kept)
    foreign = {"notes.txt": b"mine", ".hidden": b"mine", "mlp-fold-0-0.json": b"{}"}
    for name, content in foreign.items():
        (kept.folder / name).write_bytes(content)
    path.unlink()
    path.mkdir()
    (path / "inside").write_bytes(b"mine")
    assert kept.look_up("mlp fold 0", ORIGIN) is None
    kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    kept.keep("mlp fold 1", ORIGIN, SCORES, "folds")
    assert {name: (kept.folder / name).read_bytes() for name in foreign} == foreign
    assert (path / "inside").read_bytes() == b"mine"


def test_a_pipe_in_the_place_of_a_result_is_not_waited_for(kept):
    kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    (path,) = entries(kept)
    path.unlink()
    os.mkfifo(path)
    assert kept.look_up("mlp fold 0", ORIGIN) is None
    kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    assert path.is_fifo()


def test_two_processes_that_keep_one_result_leave_it_whole(kept):
    """Each removes the temporary files that it finds, also those of the other."""
    child, failed = os.fork(), 0
    try:
        for _ in range(15):
            kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
    except Exception:
        failed = 1
    finally:
        if child == 0:
            os._exit(failed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == failed == 0
    assert repr(kept.look_up("mlp fold 0", ORIGIN)) == repr(SCORES)
    assert [*entries(kept), kept.steps] == sorted(kept.folder.iterdir())


@pytest.mark.parametrize(("after", "count"), [(False, {}), (True, {"folds": 1})])
def test_a_kill_beside_the_moment_at_which_a_part_is_kept_does_not_change_the_count(
    kept, after, count
):
    tail = StepsTail(kept)
    child = os.fork()
    if child == 0:
        replace_name = os.replace

        def replace_and_die(*names):
            if after:
                replace_name(*names)
            os.kill(os.getpid(), signal.SIGKILL)

        os.replace = replace_and_die
        kept.keep("mlp fold 0", ORIGIN, SCORES, "folds")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    tail.poll()
    assert tail.kept() == count and len(entries(kept)) == sum(count.values())


@pytest.fixture
def fits(monkeypatch):
    """Return the kinds and seeds that are fitted."""
    seen, fit = [], judging.fit_head

    def counted(frame, inputs, kind, parameters, seeds, *rest):
        seen.append((kind, tuple(seeds)))
        return fit(frame, inputs, kind, parameters, seeds, *rest)

    monkeypatch.setattr(judging, "fit_head", counted)
    return seen


def test_finished_folds_are_not_fitted_again(frame, tiny, kept, fits, caplog):
    splits = split(frame, tiny.splits)
    alone = judging.cross_validate(frame, INPUTS, splits, "mlp", tiny)
    first = judging.cross_validate(frame, INPUTS, splits, "mlp", tiny, kept)
    assert len(fits) == 6
    entries(kept)[1].unlink()
    with caplog.at_level(logging.INFO):
        second = judging.cross_validate(frame, INPUTS, splits, "mlp", tiny, kept)
    assert len(fits) == 7 and json.dumps(alone) == json.dumps(first) == json.dumps(second)
    assert "mlp repeat 0 fold 0 is kept from an earlier run and not fitted again" in caplog.text
    tail, lines = StepsTail(kept), kept.steps.read_bytes()
    kept.steps.unlink()
    tail.poll()
    kept.steps.write_bytes(lines)
    assert (tail.poll().done, tail.seen.skipped) == (3 * 2 + 2, 2 * 2)
    assert tail.kept() == {"folds": 3} and tail.seen.note == "mlp, repeat 0 fold 1, seed 1"


def changed(frame, column, value):
    """Return a copy of a table with another value in row 7."""
    copy = frame.copy()
    copy.loc[7, column] = value
    return copy


CHANGES = {
    "a value": lambda f, p: (changed(f, "b", 1.5), INPUTS, p),
    "the last digit": lambda f, p: (changed(f, "b", np.nextafter(f["b"][7], 9)), INPUTS, p),
    "a label": lambda f, p: (changed(f, "mos", 1.25), INPUTS, p),
    "a missing value": lambda f, p: (changed(f, "a", np.nan), INPUTS, p),
    "the inputs": lambda f, p: (f, INPUTS[:4], p),
    "their order": lambda f, p: (f, INPUTS[::-1], p),
    "the order of the rows": lambda f, p: (f[::-1].reset_index(drop=True), INPUTS, p),
    "a row": lambda f, p: (f[:-1], INPUTS, p),
    "the seeds": lambda f, p: (f, INPUTS, p.model_copy(update={"seeds": (0, 2)})),
    "the draws": lambda f, p: (f, INPUTS, p.model_copy(update={"bootstrap_draws": 21})),
    "its settings": lambda f, p: (
        f, INPUTS, p.model_copy(update={"ridge": p.ridge.model_copy(update={"alpha": 2.0})}),
    ),
    "the fit": lambda f, p: (
        f, INPUTS, p.model_copy(update={"fit": p.fit.model_copy(update={"slope": 0.6})}),
    ),
    "the folds": lambda f, p: (
        f, INPUTS, p.model_copy(update={"splits": p.splits.model_copy(update={"folds": 4})}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_scores_is_fitted_again(change, frame, tiny, kept, fits):
    judging.cross_validate(frame, INPUTS, split(frame, tiny.splits), "ridge", tiny, kept)
    other, inputs, parameters = CHANGES[change](frame, tiny)
    before = len(fits)
    splits = split(other, parameters.splits)
    judging.cross_validate(other, inputs, splits, "ridge", parameters, kept)
    assert len(fits) - before == parameters.splits.folds


def test_what_does_not_change_the_scores_is_not_fitted_again(frame, tiny, kept, fits):
    splits = split(frame, tiny.splits)
    judging.cross_validate(frame, INPUTS, splits, "ridge", tiny, kept)
    other = tiny.model_copy(
        update={
            "gate": tiny.gate.model_copy(update={"plcc": 0.5}),
            "trees": tiny.trees.model_copy(update={"iterations": 5}),
            "importance_rows": 7,
        }
    )
    judging.cross_validate(frame, INPUTS, splits, "ridge", other, kept)
    assert len(fits) == 3


def test_another_library_or_another_code_is_another_origin(frame, tiny, kept, fits, monkeypatch):
    splits = split(frame, tiny.splits)
    judging.cross_validate(frame, INPUTS, splits, "ridge", tiny, kept)
    monkeypatch.setattr("sklearn.__version__", "0.0")
    judging.cross_validate(frame, INPUTS, splits, "ridge", tiny, kept)
    assert len(fits) == 6
    monkeypatch.setattr(judging, "_FITTED_BY", (*judging._FITTED_BY, __name__))
    judging.cross_validate(frame, INPUTS, splits, "ridge", tiny, kept)
    assert len(fits) == 9


def test_tables_of_texts_differ_too():
    one, other = (pd.DataFrame({"a": [1.0, 2.0], "t": ["x", last]}) for last in "yz")
    assert digest_of_table(one) == digest_of_table(one.copy()) != digest_of_table(other)
    assert digest_of_table(one) != digest_of_table(one.rename(columns={"t": "u"}))


def test_finished_splits_of_the_protocol_are_not_evaluated_again(frame, kept, monkeypatch):
    grid = {"c_log2": (1, 3, 2), "gamma_log2": (-4, -2, 2)}
    block = ProtocolParameters.model_validate({"splits": 2, "grid": grid, "exclude": ["c"]})
    alone = protocol.run_protocol(frame, block)
    assert protocol.run_protocol(frame, block, finished=kept).equals(alone)
    evaluate, seen = protocol._evaluate, []
    monkeypatch.setattr(protocol, "_evaluate", lambda *a: seen.append(a[3]) or evaluate(*a))
    assert protocol.run_protocol(frame, block, finished=kept).equals(alone) and seen == []
    longer = protocol.run_protocol(frame, block.model_copy(update={"splits": 3}), finished=kept)
    assert seen == [3] and longer[:2].equals(alone)
    protocol.run_protocol(frame, block.model_copy(update={"clip": (1, 5)}), finished=kept)
    assert seen == [3, 1, 2]


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_folds_that_were_dealt_to_shares_are_joined_in_their_order(parts, frame, tiny):
    splits = split(frame, tiny.splits.model_copy(update={"folds": 3, "repeats": 2}))
    whole = judging.cross_validate(frame, INPUTS, splits, "ridge", tiny)
    shares = [replace(splits, folds=splits.folds[part::parts]) for part in range(parts)]
    dealt = [judging.cross_validate(frame, INPUTS, s, "ridge", tiny) for s in shares]
    assert json.dumps(judging.join(dealt)) == json.dumps(whole)
