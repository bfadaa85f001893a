import pytest

from mm_nautilus.calibration.model_inputs import ModelInputs
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import CalibrationError
from mm_nautilus.pricing import live_model
from mm_nautilus.pricing.live_model import LiveModel
from mm_nautilus.pricing.quote_model import quote_model

MARKET = ModelInputs(0.8, 0.5, 1.0, "from a test")
GLFT = SymbolParams(use_reservation_price=True, reservation_model="glft", recalibrate_minutes=1.0)
MINUTE = 60_000_000_000


@pytest.fixture
def computed(monkeypatch):
    """Return what the model was computed with, call by call."""
    calls = []

    def counting(params, market, **inputs):
        calls.append((market, *inputs.values()))
        return quote_model(params, market, **inputs)

    monkeypatch.setattr(live_model, "quote_model", counting)
    return calls


@pytest.fixture
def estimates(monkeypatch):
    """Return the list that estimates are taken from."""
    queue = []

    def estimate(rolling, now_ns):
        rolling.due_ns = now_ns + MINUTE
        found = queue.pop(0)
        if isinstance(found, CalibrationError):
            raise found
        return found

    monkeypatch.setattr(live_model.RollingCalibration, "estimate", estimate)
    return queue


def test_a_model_is_computed_once_for_the_same_inputs(computed):
    live = LiveModel(GLFT, MARKET)
    models = [live.at(0.06, 5.0) for _ in range(10)]
    assert all(model is models[0] for model in models)
    assert models[0] == quote_model(GLFT, MARKET, volatility_pct=0.06, quotes_at_cap=5.0)
    live.at(0.07, 5.0)
    live.at(0.07, 6.0)
    assert computed == [(MARKET, 0.06, 5.0), (MARKET, 0.07, 5.0), (MARKET, 0.07, 6.0)]


def test_a_model_that_is_refused_says_why_until_it_is_sound_again(computed):
    params = GLFT.model_copy(update={"maker_fee_pct": 0.0})
    live = LiveModel(params, MARKET)
    for _ in range(3):
        assert live.at(2_000.0, 5.0) is None
    assert len(computed) == 1
    assert live.refusal is not None
    assert live.refusal.startswith("the full width of glft must be at most 5 % of mid")
    assert live.at(0.06, 5.0) is not None
    assert live.refusal is None


@pytest.mark.parametrize(
    ("changes", "waits"),
    [({}, True), ({"reservation_model": "simplified"}, False), ({"use_reservation_price": False}, False)],
)
def test_only_a_calibrated_model_in_force_waits_and_estimates(changes, waits):
    live = LiveModel(GLFT.model_copy(update=changes), None)
    assert live.is_waiting == waits == (live.rolling is not None)
    assert LiveModel(GLFT.model_copy(update={"recalibrate_minutes": None}), MARKET).rolling is None


def test_estimates_come_into_force_when_they_are_due(estimates):
    live = LiveModel(GLFT, None)
    assert not live.recalibrate(0, 0.0, 5.0), "nothing was seen yet"
    live.rolling.add_touch(1, 9_999, 10_001, 5, 5)
    assert not live.recalibrate(MINUTE, 0.0, 5.0)
    estimates.extend([MARKET, ModelInputs(1.6, 0.5, 1.0, "later")])
    assert live.recalibrate(MINUTE + 1, 0.0, 5.0)
    before = live.at(0.0, 5.0)
    assert not live.recalibrate(MINUTE + 2, 0.0, 5.0)
    assert live.recalibrate(2 * MINUTE + 1, 0.0, 5.0)
    assert (live.market.source, live.estimates, live.refused_estimates) == ("later", 2, 0)
    assert live.at(0.0, 5.0).skew_bps > before.skew_bps


@pytest.mark.parametrize(
    "bad",
    [
        CalibrationError("3 market orders"),
        ModelInputs(0.8, 0.5, 4000.0, "wrong units"),
        ModelInputs(99.0, 1e-9, 0.01, "absurdly wide"),
    ],
)
def test_an_estimate_that_is_refused_keeps_the_last_one(estimates, bad):
    live = LiveModel(GLFT, MARKET)
    live.rolling.add_touch(0, 9_999, 10_001, 5, 5)
    model = live.at(0.0, 5.0)
    estimates.append(bad)
    with pytest.raises(CalibrationError):
        live.recalibrate(MINUTE, 0.0, 5.0)
    assert live.at(0.0, 5.0) is model
    assert (live.market, live.estimates, live.refused_estimates) == (MARKET, 0, 1)
    assert not live.recalibrate(MINUTE + 1, 0.0, 5.0), "the next try waits for its time"
