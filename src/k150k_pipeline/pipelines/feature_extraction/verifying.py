"""Test of the identity plan on the first frames of a few clips, before a run uses it."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence

from k150k_pipeline.datasets import ClipFolder, Clips
from k150k_pipeline.errors import ClipError, InputError
from k150k_pipeline.schemas.parameters import ExtractParameters
from k150k_pipeline.vmaf.isolated_scoring import IsolatedScorer
from k150k_pipeline.vmaf.plans import FULL, IDENTITY, refuse_small
from k150k_pipeline.vmaf.verify import VERIFIED_FRAMES, compare_plans

logger = logging.getLogger(__name__)

_TRIES_PER_CLIP = 10


def verify_on(
    due: Sequence[str],
    clips: ClipFolder,
    scorer: IsolatedScorer,
    extract: ExtractParameters,
    tolerances: Mapping[str, float],
) -> list[str]:
    """Score the first frames of a few due clips under both plans.

    Args:
        due: Names of the clips to draw from.
        clips: Folder of the clips.
        scorer: What probes and scores them.
        extract: Block ``extract``; ``verify_clips`` is their number, ``verify_seed`` draws them.
        tolerances: Largest permitted difference per feature.

    Returns:
        Names of the clips on which both plans agree; empty if none of those drawn can be scored.

    Raises:
        InputError: The plans disagree beyond the tolerance; both values are in the message.
    """
    wanted = min(extract.verify_clips, len(due))
    logger.info(
        "Verifying that the identity plan and the full plan agree: %d clips, the first %d frames "
        "of each", wanted, VERIFIED_FRAMES,
    )  # fmt: skip
    agreed: list[str] = []
    tries = min(len(due), _TRIES_PER_CLIP * extract.verify_clips)
    for name in random.Random(extract.verify_seed).sample(due, tries):
        with clips.at_hand() as here:
            agree = _plans_agree(scorer, here, name, extract, tolerances)
        if agree:
            agreed.append(name)
            logger.info("Verified %d of %d clips: the plans agree on %s", len(agreed), wanted, name)
        if len(agreed) == wanted:
            break
    if not agreed:
        logger.warning("Plans not verified: none of %d clips drawn can be scored", tries)
    return agreed


def _plans_agree(
    scorer: IsolatedScorer,
    clips: Clips,
    name: str,
    extract: ExtractParameters,
    tolerances: Mapping[str, float],
) -> bool:
    try:
        clip = scorer.probe(clips.find(name))
        if extract.small_clips == "fail":
            refuse_small(clip)
        identity, full = (scorer.score(clip, plan, VERIFIED_FRAMES) for plan in (IDENTITY, FULL))
    except ClipError as error:
        logger.info("Plans not compared on a clip that cannot be scored: %s", error)
        return False
    if disagreements := compare_plans(identity, full, tolerances):
        raise InputError(
            f"the identity plan and the full plan disagree on the first {identity.frames} frames "
            f"of {name}: "
            + "; ".join(map(str, disagreements))
            + ". Use extract.plan=full, and please report this clip"
        )
    return True
