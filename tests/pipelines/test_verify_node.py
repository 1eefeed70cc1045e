"""A plan that lies is found out before anything is scored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.schemas.parameters import ExtractParameters, VmafParameters
from k150k_pipeline.vmaf import make_engine
from k150k_pipeline.vmaf.plans import FULL, IDENTITY


class Biased:
    """The real engine, but for one feature of the full plan."""

    def __init__(self, parameters, feature: str, by: float) -> None:
        self.engine = make_engine(parameters)
        self.feature, self.by = feature, by
        self.scored = []

    def score(self, clip, plan):
        self.scored.append((clip.path.name, plan.name))
        score = self.engine.score(clip, plan)
        if plan == IDENTITY:
            return score
        biased = {**score.values, self.feature: score.values[self.feature] + self.by}
        return replace(score, values=biased)


@pytest.fixture
def verify(tiny_clips, tmp_path, monkeypatch):
    names = sorted(path.name for path in tiny_clips.iterdir())

    def run(feature: str, by: float, **parameters):
        engine = Biased(VmafParameters(), feature, by)
        monkeypatch.setattr(nodes, "make_engine", lambda _: engine)
        plan = {"due": names, "fingerprint": "f"}
        extract = ExtractParameters(**parameters)
        journal = Journal(tmp_path / str(extract.verify_seed), tmp_path / "out.parquet")
        clips = ClipFolder(tiny_clips)
        agreed = nodes.verify_plans(plan, clips, journal, extract, VmafParameters())
        return agreed, engine.scored, journal.verdicts()

    return run


@pytest.mark.parametrize(("feature", "by"), [("cambi", 1e-5), ("vmaf", 0.03), ("adm2", -3e-4)])
def test_disagreement_stops_the_run_and_shows_both_values(verify, feature, by):
    with pytest.raises(InputError) as caught:
        verify(feature, by, verify_clips=1)
    message = str(caught.value)
    assert f"{feature}_mean: identity plan " in message and "full plan " in message
    assert "disagree on orig_" in message and "extract.plan=full" in message


def test_agreement_is_journaled_and_not_paid_for_twice(verify):
    agreed, scored, verdicts = verify("vmaf", 1e-3, verify_clips=2)
    assert len(agreed) == 2 and verdicts == {"f": agreed}
    assert [name for name, plan in scored if plan == FULL.name] == agreed
    again, scored, _ = verify("vmaf", 1e-3, verify_clips=2)
    assert again == agreed and scored == []


def test_seed_chooses_the_clips(verify):
    drawn = [verify("vmaf", 0.0, verify_clips=1, verify_seed=seed)[0] for seed in range(4)]
    assert len(set(map(tuple, drawn))) > 1


@pytest.mark.parametrize("parameters", [{"verify_clips": 0}, {"plan": "full"}])
def test_nothing_to_verify(verify, parameters):
    assert verify("cambi", 5.0, **parameters) == ([], [], {})


def test_clips_that_cannot_be_scored_are_drawn_a_bounded_number_of_times(tmp_path, caplog):
    (tmp_path / "clips").mkdir()
    names = [f"{index}.mp4" for index in range(500)]
    journal = Journal(tmp_path / "journal", tmp_path / "out.parquet")
    arguments = ClipFolder(tmp_path / "clips"), journal, ExtractParameters(), VmafParameters()
    with caplog.at_level("INFO", logger="k150k_pipeline"):
        assert nodes.verify_plans({"due": names, "fingerprint": "f"}, *arguments) == []
    assert sum("cannot be scored" in r.getMessage() for r in caplog.records) == 20
    assert "Plans not verified: none of 20 clips" in caplog.text
    assert journal.verdicts() == {}
