"""Keep quote models that estimate their own figures up to date, and say what they quote on."""

from typing import Any

from mm_nautilus.core.instrument_checks import figure_risks
from mm_nautilus.core.quote_model import figures_text
from mm_nautilus.errors import CalibrationError
from mm_nautilus.nautilus.desk import SymbolDesk

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
        self._told: set[tuple[str, ...]] = set()

    def review(self, desk: SymbolDesk, now_ns: int) -> None:
        """Look at one symbol's model."""
        symbol = desk.spec.symbol
        try:
            is_new = desk.estimate_anew(now_ns)
        except CalibrationError as error:
            state = "still has no figures" if desk.model.is_waiting else "quotes on with its last figures"
            self._log.warning(f"MM: {symbol} {state}: {error}")
            return
        if is_new or desk.has_new_figures:
            self._show_figures(desk)
        if desk.model.refusal is None:
            self._refused.discard(symbol)
        elif symbol not in self._refused:
            self._refused.add(symbol)
            self._log.warning(f"MM: {symbol} is not quoted: {desk.model.refusal}")

    def _show_figures(self, desk: SymbolDesk) -> None:
        figures = desk.note_figures()
        if figures is None:
            return
        self._log.info(figures_text(desk.spec.symbol, figures))
        for risk in figure_risks(desk.spec, figures, desk.mid_price or 0.0):
            if risk.path not in self._told:
                self._told.add(risk.path)
                self._log.warning(risk.text())
                self._warnings.append(risk.text())
