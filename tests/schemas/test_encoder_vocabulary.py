from __future__ import annotations

import pytest

from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas import encoder_vocabulary as encoders


def test_version_four_appends_one_slot_to_version_three():
    three, four = encoders.vocabulary(3), encoders.vocabulary(4)
    assert len(three) == 16 and four == (*three, "ugc-mixed")
    assert (three[0], three[2], three[13], three[15]) == (
        "libx264",
        "libx265",
        "libsvtav1",
        "hevc_videotoolbox",
    )
    assert len(set(four)) == 17


def test_unknown_version_is_refused():
    with pytest.raises(InputError, match="v5 does not exist; there are v3, v4"):
        encoders.vocabulary(5)


@pytest.mark.parametrize("encoder", ["h264", "vp9", "libx264", "anything", ""])
@pytest.mark.parametrize("corpus", ["konvid-150k", "konvid-1k"])
def test_every_encoder_of_konvid_has_one_slot(encoder, corpus):
    assert encoders.slot_name(encoder, corpus) == "ugc-mixed"


def test_elsewhere_a_known_name_keeps_its_slot_and_an_unknown_one_is_refused():
    assert encoders.slot_name("libsvtav1", "chug") == "libsvtav1"
    with pytest.raises(InputError, match="'vp9' of corpus 'chug' has no slot"):
        encoders.slot_name("vp9", "chug")
    with pytest.raises(InputError, match="has no slot"):
        encoders.slot_name("h264", "my-konvid-150k")
