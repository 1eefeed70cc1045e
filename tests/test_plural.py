from __future__ import annotations

import pytest

from k150k_pipeline.plural import counted, have


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips"), (1234, "1,234 clips")]
)
def test_only_one_is_singular(number, words):
    assert counted(number, "clip") == words
    assert have(number) == ("has" if number == 1 else "have")


def test_a_plural_of_its_own():
    assert counted(2, "label without clip", "labels without clip") == "2 labels without clip"
    assert counted(1, "label without clip", "labels without clip") == "1 label without clip"
