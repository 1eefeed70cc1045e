from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.vmaf.aggregate import aggregate

values = st.one_of(st.just(np.nan), st.floats(-1e3, 1e3))


@given(hnp.arrays(np.float64, st.tuples(st.just(22), st.integers(1, 40)), elements=values))
def test_is_nanmean_and_population_nanstd(table):
    got = aggregate(dict(zip(FEATURES, table, strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = [*np.nanmean(table, axis=1), *np.nanstd(table, axis=1)]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_constants_stay_exact():
    got = aggregate({f: np.full(149, 60.0 if f.startswith("psnr") else 1.0) for f in FEATURES})
    assert set(got[:22]) == {1.0, 60.0}
    assert set(got[22:]) == {0.0}
