"""``mos_head`` is killed at each of its folds; then the same command makes the same model set."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.end_to_end.test_mos_head import Head
from tests.support.ledger import Ledger
from tests.support.victim import Victim

KIND = "kills: mos_head"
FOLDS = 4


@pytest.mark.thorough
def test_killed_at_any_fold_the_model_set_is_that_of_an_undisturbed_run(
    tmp_path, ledger: Ledger
) -> None:
    head = Head(tmp_path / "project")
    head.run()
    files, moments = head.files(), random.Random(12)
    for fold in range(FOLDS + 1) if ledger.full else (2,):
        shutil.rmtree(head.finished)
        shutil.rmtree(head.models)
        with ledger.case(KIND, f"{fold} folds kept") as case:
            run = Victim.fork(["run", "--pipelines=mos_head"], head.root)
            run.reaches(lambda fold=fold: len(head.folds()) >= fold)
            run.kill(moments=moments)
            kept = head.folds()
            output = head.run()
            case.read(run.output() + output)
            assert output.count("not fitted again") == len(kept) >= fold
            assert head.files() == files and len(head.folds()) == FOLDS
