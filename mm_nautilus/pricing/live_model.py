"""The built-in pricing model of a symbol, with its recalibration."""

from mm_nautilus.calibration.model_inputs import ModelInputs
from mm_nautilus.calibration.rolling import RollingCalibration
from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import CalibrationError
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import MarketView, PositionView, PricedQuote
from mm_nautilus.pricing.quote_model import QuoteModel, quote_model


class LiveModel:
    """The `PricingModel` of the configured formulas; recomputed only when one of its inputs changes.

    Parameters
    ----------
    params
        The symbol's merged parameters with its fees.
    market
        Calibrated inputs at the start; None if they are not known yet or not needed.

    Attributes
    ----------
    market
        The calibrated inputs in force.
    is_waiting
        Whether the model still waits for its first inputs.
    rolling
        Estimates the inputs again, None without recalibration.
    refusal
        Why the model cannot be used, None if it can.
    estimates, refused_estimates
        Number of estimates in force so far, and of those that were due but failed.
    """

    def __init__(self, params: SymbolParams, market: ModelInputs | None) -> None:
        self._params = params
        self.market = market
        self.is_waiting = market is None and params.is_calibrated
        self.rolling: RollingCalibration | None = None
        if params.is_calibrated and params.recalibrate_minutes is not None:
            self.rolling = RollingCalibration(
                round(params.recalibrate_minutes * MINUTE_NS),
                round(params.recalibrate_window_minutes * MINUTE_NS),
            )
        self.refusal: str | None = None
        self.estimates = self.refused_estimates = 0
        self._inputs: tuple[float, float] | None = None
        self._model: QuoteModel | None = None

    def __call__(
        self, market: MarketView, position: PositionView, _params: SymbolParams, /
    ) -> PricedQuote | NotQuoting:
        """Return reservation price and widths, or the reason for none; `_params` is ignored."""
        if self.is_waiting:
            return NotQuoting.WARMING_UP
        model = self.at(market.volatility_pct, position.quotes_at_cap)
        return NotQuoting.MODEL_REFUSED if model is None else model.priced(market, position)

    def at(self, volatility_pct: float, quotes_at_cap: float) -> QuoteModel | None:
        """Return the quote model, None if it cannot be used; parameters as for `quote_model`."""
        inputs = (volatility_pct, quotes_at_cap)
        if inputs != self._inputs:
            self._inputs = inputs
            self._model, self.refusal = None, None
            try:
                self._model = self._made_of(self.market, inputs)
            except CalibrationError as refused:
                self.refusal = str(refused)
        return self._model

    def _made_of(self, market: ModelInputs | None, inputs: tuple[float, float]) -> QuoteModel:
        return quote_model(self._params, market, volatility_pct=inputs[0], quotes_at_cap=inputs[1])

    def use(self, params: SymbolParams) -> None:
        """Compute the model from other parameters from now on."""
        self._params, self._inputs = params, None

    def recalibrate(self, now_ns: int, volatility_pct: float, quotes_at_cap: float) -> bool:
        """Estimate the inputs again if that is due, and return whether there are new ones.

        Raises
        ------
        CalibrationError
            If they cannot be estimated or give no valid model; the last ones stay in force.
        """
        rolling = self.rolling
        if rolling is None or rolling.due_ns is None or now_ns < rolling.due_ns:
            return False
        try:
            market = rolling.estimate(now_ns)
            self._made_of(market, (volatility_pct, quotes_at_cap))
        except CalibrationError:
            self.refused_estimates += 1
            raise
        self.market, self.is_waiting, self._inputs = market, False, None
        self.estimates += 1
        return True
