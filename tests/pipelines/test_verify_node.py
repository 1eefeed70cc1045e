"""A plan that lies is found out before anything is scored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Journal
from k150k_pipeline.media.probe import probe
from k150k_pipeline.pipelines.clipwise import make_shares
from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.pipelines.feature_extraction.verdicts import add_verdict, read_verdicts
from k150k_pipeline.schemas.parameters import ExtractParameters, VmafParameters
from k150k_pipeline.vmaf import make_engine
from k150k_pipeline.vmaf.plans import FULL, IDENTITY
from k150k_pipeline.vmaf.verify import VERIFIED_FRAMES

EMBEDDED = VmafParameters(backend="embedded")


class Biased:
    """The real engine, but for one feature of the full plan."""

    def __init__(self, feature: str, by: float) -> None:
        self.engine = make_engine(EMBEDDED)
        self.feature, self.by = feature, by
        self.scored, self.frames = [], []
        self.probe = probe

    def score(self, clip, plan, first=None):
        self.scored.append((clip.path.name, plan.name))
        self.frames.append(first)
        score = self.engine.score(clip, plan, first)
        if plan == IDENTITY:
            return score
        biased = {**score.values, self.feature: score.values[self.feature] + self.by}
        return replace(score, values=biased)


def plan_of(due: list[str], backend: str = "embedded") -> ExtractionPlan:
    return ExtractionPlan(
        corpus="k150ka", fingerprint="f", accepted=[], scoring={"backend": backend},
        wanted=len(due), due=len(due), done_before=0, recovered=0,
        clips_without_label=[], labels_without_clip=[], bad_labels=[], changed_clips=[],
        unknown_files=0, superseded={}, torn_lines=0, broken_lines=[], started_at=0.0,
    )  # fmt: skip


@pytest.fixture
def verify(tiny_clips, tmp_path, monkeypatch):
    names = sorted(path.name for path in tiny_clips.iterdir())

    def run(feature: str, by: float, backend: str = "embedded", **parameters):
        engine = Biased(feature, by)
        monkeypatch.setattr(nodes, "IsolatedScorer", lambda *_: engine)
        extract = ExtractParameters(**parameters)
        journal = Journal(tmp_path / str(extract.verify_seed), tmp_path / "out.parquet")
        clips = ClipFolder(tiny_clips)
        plan = plan_of(names, backend)
        agreed = nodes.verify_plans(
            plan, make_shares(names, {}, 2), clips, journal, extract, VmafParameters()
        )
        return agreed, engine.scored, read_verdicts(journal)

    return run


@pytest.mark.parametrize(("feature", "by"), [("cambi", 1e-5), ("vmaf", 0.03), ("adm2", -3e-4)])
def test_disagreement_stops_the_run_and_shows_both_values(verify, feature, by):
    with pytest.raises(InputError) as caught:
        verify(feature, by, verify_clips=1)
    message = str(caught.value)
    assert f"{feature}_mean: identity plan " in message and "full plan " in message
    assert "disagree on the first 6 frames of orig_" in message and "extract.plan=full" in message


@pytest.mark.parametrize("feature", ["cambi", "motion"])
def test_less_than_a_printed_digit_is_permitted_to_the_native_engine_alone(verify, feature):
    with pytest.raises(InputError, match=f"{feature}_mean: .* \\(tolerance 0\\)"):
        verify(feature, 9e-7, verify_clips=1)
    assert len(verify(feature, 9e-7, "native", verify_clips=1)[0]) == 1


def test_agreement_is_journaled_and_not_paid_for_twice(verify):
    agreed, scored, verdicts = verify("vmaf", 1e-3, verify_clips=2)
    assert len(agreed) == 2 and verdicts == {"f": agreed}
    assert [name for name, plan in scored if plan == FULL.name] == agreed
    again, scored, _ = verify("vmaf", 1e-3, verify_clips=2)
    assert again == agreed and scored == []


def test_seed_chooses_the_clips(verify):
    drawn = [verify("vmaf", 0.0, verify_clips=1, verify_seed=seed)[0] for seed in range(4)]
    assert len(set(map(tuple, drawn))) > 1


def test_verification_says_what_it_does(verify, caplog):
    with caplog.at_level("INFO", logger="k150k_pipeline"):
        agreed, *_ = verify("vmaf", 1e-3, verify_clips=2)
    announced, *done = [record.getMessage() for record in caplog.records]
    assert announced == (
        "Verifying that the identity plan and the full plan agree: 2 clips, the first 24 frames "
        "of each"
    )
    assert done == [
        f"Verified {n} of 2 clips: the plans agree on {name}" for n, name in enumerate(agreed, 1)
    ]


def test_no_more_than_the_first_frames_are_scored(make_clip, tmp_path, monkeypatch):
    clip = make_clip(source="testsrc2=s=256x256:r=25:d=1.6")
    engine = Biased("vmaf", 0.0)
    monkeypatch.setattr(nodes, "IsolatedScorer", lambda *_: engine)
    journal = Journal(tmp_path / "journal", tmp_path / "out.parquet")
    arguments = ClipFolder(clip.parent), journal, ExtractParameters(), VmafParameters()
    assert nodes.verify_plans(
        plan_of([clip.name]), make_shares([clip.name], {}, 3), *arguments
    ) == [clip.name]
    assert engine.frames == [VERIFIED_FRAMES] * 2


def test_verdicts_are_kept_per_fingerprint(tmp_path):
    journal = Journal(tmp_path, tmp_path / "o")
    assert read_verdicts(journal) == {}
    add_verdict(journal, "f1", ["a"])
    add_verdict(journal, "f2", ["b", "c"])
    assert read_verdicts(Journal(tmp_path, tmp_path / "o")) == {"f1": ["a"], "f2": ["b", "c"]}


@pytest.mark.parametrize("parameters", [{"verify_clips": 0}, {"plan": "full"}])
def test_nothing_to_verify(verify, parameters):
    assert verify("cambi", 5.0, **parameters) == ([], [], {})


def test_clips_that_cannot_be_scored_are_drawn_a_bounded_number_of_times(tmp_path, caplog):
    (tmp_path / "clips").mkdir()
    names = [f"{index}.mp4" for index in range(500)]
    journal = Journal(tmp_path / "journal", tmp_path / "out.parquet")
    arguments = ClipFolder(tmp_path / "clips"), journal, ExtractParameters(), VmafParameters()
    with caplog.at_level("INFO", logger="k150k_pipeline"):
        assert nodes.verify_plans(plan_of(names), make_shares(names, {}, 2), *arguments) == []
    assert sum("cannot be scored" in r.getMessage() for r in caplog.records) == 20
    assert "Plans not verified: none of 20 clips" in caplog.text
    assert read_verdicts(journal) == {}
