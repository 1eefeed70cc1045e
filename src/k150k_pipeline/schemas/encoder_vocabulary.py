"""The encoder vocabulary: the slots of the one-hot encoding.

Slots are only ever appended, so that older models keep working.
"""

from __future__ import annotations

from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.corpus import KONVID_PREFIX

VOCABULARY_VERSION = 4
UGC_MIXED = "ugc-mixed"
ENCODER_SLOTS: tuple[str, ...] = (
    "libx264",
    "libaom-av1",
    "libx265",
    "h264_nvenc",
    "hevc_nvenc",
    "av1_nvenc",
    "h264_amf",
    "hevc_amf",
    "av1_amf",
    "h264_qsv",
    "hevc_qsv",
    "av1_qsv",
    "libvvenc",
    "libsvtav1",
    "h264_videotoolbox",
    "hevc_videotoolbox",
    UGC_MIXED,
)
"""All slots in order. A new version appends slots; none is moved or removed."""

SLOTS: dict[int, int] = {3: 16, 4: 17}
"""Number of slots of each version."""


def vocabulary(version: int = VOCABULARY_VERSION) -> tuple[str, ...]:
    """Return the slots of a version, in order.

    Raises:
        InputError: There is no such version.
    """
    if version not in SLOTS:
        raise InputError(
            f"encoder vocabulary v{version} does not exist; there are "
            + ", ".join(f"v{number}" for number in SLOTS)
        )
    return ENCODER_SLOTS[: SLOTS[version]]


def slot_name(encoder: str, corpus: str) -> str:
    """Return the slot of a row's encoder.

    Args:
        encoder: ``encoder_upstream`` of the row.
        corpus: ``corpus`` of the row; every encoder of a ``konvid-*`` corpus is ``ugc-mixed``.

    Raises:
        InputError: A row of another corpus names an encoder that has no slot.
    """
    if corpus.startswith(KONVID_PREFIX):
        return UGC_MIXED
    if encoder not in ENCODER_SLOTS:
        raise InputError(
            f"encoder {encoder!r} of corpus {corpus!r} has no slot in vocabulary "
            f"v{VOCABULARY_VERSION} ({', '.join(ENCODER_SLOTS)}). Correct encoder_upstream, or "
            "append a slot in schemas/encoder_vocabulary.py and raise its version"
        )
    return encoder
