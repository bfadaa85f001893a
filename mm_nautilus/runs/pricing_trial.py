"""Call a backtest's custom pricing models once, on the first prices of its catalog."""

from math import floor

from mm_nautilus.checks.refusals import RefusedRunError
from mm_nautilus.config.problems import Problem
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.market.rates import Rates
from mm_nautilus.pricing.pricing_model import MarketView, OwnPricing, PositionView, PricingModelError
from mm_nautilus.pricing.quotes import QuoteInputs
from mm_nautilus.runs.assembly import strategy_config
from mm_nautilus.runs.inputs import RunInputs, first_mid
from mm_nautilus.trading.sizes import Sizes


def try_pricing(inputs: RunInputs) -> None:
    """Call each model flat and without a volatility; raises RefusedRunError if one raises or returns no prices."""
    config, problems = inputs.config, []
    settings = strategy_config(config, inputs.specs)
    reader = CatalogReader(config.catalog)
    mids = {symbol: first_mid(reader, spec, inputs.data_ns) for symbol, spec in inputs.specs.items()}
    rates = Rates({name: (spec.base, spec.quote) for name, spec in inputs.specs.items()}, mids.get, 1.0)
    for symbol, model in inputs.code.pricing.items():
        spec, params = inputs.specs[symbol], settings.for_symbol(symbol)
        sizes, mid = Sizes(spec, params, config.report_currency, rates.rate), mids[symbol]
        limits = sizes.at(mid)
        quotes_at_cap = None if limits is None else sizes.quotes_at_cap(limits)
        if limits is None or quotes_at_cap is None:
            continue
        tick, lot = float(spec.price_increment), float(spec.size_increment)
        bid = floor(mid / tick - 0.5)
        share = QuoteInputs(bid, bid + 1, tick, 0, limits).q
        market = MarketView(symbol, bid * tick, (bid + 1) * tick, mid, mid, 0.0)
        position = PositionView(0.0, limits.target_lots * lot, limits.cap_lots * lot, share, quotes_at_cap)
        try:
            OwnPricing(model, str(params.pricing))(market, position, params)
        except PricingModelError as error:
            text = f"pricing must price the catalog's first book, was {params.pricing}: {error}"
            problems.append(Problem(("strategy", "pricing"), text))
    if problems:
        raise RefusedRunError(problems)
