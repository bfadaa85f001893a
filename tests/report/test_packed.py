import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unpacked import unpack

from mm_nautilus.report.figures import pack

ticks = st.lists(st.one_of(st.integers(-(2**31) + 1, 2**31 - 1), st.none()), max_size=50)


@given(ticks, ticks, st.sampled_from([1.0, 0.1, 1e-5, 0.5]))
def test_whole_numbers_of_units_come_back(first, second, unit):
    columns = {
        name: np.array([np.nan if value is None else value * unit for value in values], dtype=np.float64)
        for name, values in (("a", first), ("b", second))
    }

    found = unpack(json.loads(json.dumps(pack({name: (column, unit) for name, column in columns.items()}))))

    for name, column in columns.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-12, equal_nan=True)


def test_numbers_too_large_for_whole_units_are_kept_as_they_are():
    values = np.array([1.5, np.nan, 3e12])

    packed = pack({"t": (np.arange(3.0), 1.0), "large": (values, 1.0)})

    assert [entry["is_whole"] for entry in packed["columns"]] == [True, False]
    np.testing.assert_array_equal(unpack(packed)["large"], values)


def test_the_same_columns_make_the_same_text():
    assert pack({"a": (np.arange(9.0), 1.0)}) == pack({"a": (np.arange(9.0), 1.0)})


def test_a_day_of_seconds_is_small():
    rng = np.random.default_rng(1)
    mids = 2.35 + 1e-5 * np.cumsum(rng.integers(-2, 3, 86_400))

    assert len(pack({"mid": (mids, 5e-6)})["data"]) < 60_000


def test_a_unit_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="the unit of a must be positive, was 0"):
        pack({"a": ([1.0], 0)})
