"""Keep quote models that estimate their own figures up to date, and say what they quote on."""

from typing import Any

from mm_nautilus.checks.instruments import figure_risks
from mm_nautilus.errors import CalibrationError
from mm_nautilus.pricing.quote_model import figures_text
from mm_nautilus.trading.symbol import SymbolState

__all__ = ["ModelReview"]


class ModelReview:
    """Estimate models anew where that is due; log their figures, refusals and risks, each once a change.

    Parameters
    ----------
    log
        The strategy's logger.
    warnings
        Where risks of figures are added.
    """

    def __init__(self, log: Any, warnings: list[str]) -> None:
        self._log = log
        self._warnings = warnings
        self._refused: set[str] = set()
        self._reported: set[tuple[str, ...]] = set()

    def review(self, symbol: SymbolState, now_ns: int) -> None:
        """Look at one symbol's model."""
        name = symbol.name
        try:
            is_new = symbol.estimate_anew(now_ns)
        except CalibrationError as error:
            state = "still has no figures" if symbol.model.is_waiting else "quotes on with its last figures"
            self._log.warning(f"MM: {name} {state}: {error}")
            return
        if is_new or symbol.has_new_figures:
            self._show_figures(symbol)
        if symbol.model.refusal is None:
            self._refused.discard(name)
        elif name not in self._refused:
            self._refused.add(name)
            self._log.warning(f"MM: {name} is not quoted: {symbol.model.refusal}")

    def _show_figures(self, symbol: SymbolState) -> None:
        figures = symbol.note_figures()
        if figures is None:
            return
        self._log.info(figures_text(symbol.name, figures))
        for risk in figure_risks(symbol.spec, figures, symbol.mid_price or 0.0):
            if risk.path not in self._reported:
                self._reported.add(risk.path)
                self._log.warning(risk.text())
                self._warnings.append(risk.text())
