"""The Prometheus endpoint on a real socket: its figures, whom it answers, and that nothing it is sent hurts."""

import http.client
import math
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from live_states import CROSS, FIGURES, START_NS, XRP, eventful_state, made_state, publish_quotes
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from mm_nautilus.config.sandbox import PrometheusConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.live_view import prometheus
from mm_nautilus.live_view.scrapes import PrometheusEndpoint
from mm_nautilus.live_view.state import GuardNote, LiveState, Quotes
from mm_nautilus.metrics.data_types import SymbolMetrics, metrics_schema

TOKEN = "correct-horse-battery"  # noqa: S105
VARIABLE = "MM_NAUTILUS_METRICS_TOKEN"
PATIENCE_SECONDS = 20.0
MORE = {
    "unrealized_pnl": "-1.26650000 USDT",
    "funding": "0.00000000 USDT",
    "funding_report": "",
    "realized_pnl_report": "1.25400000 USDT",
    "unrealized_pnl_report": "-1.26650000 USDT",
    "volatility_since_ns": START_NS,
}


class Scraped:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: list[Sample] = [one for family in self.families.values() for one in family.samples]

    def value(self, name: str, **labels: str) -> float:
        (found,) = self.of(name, **labels)
        return found.value

    def of(self, name: str, **labels: str) -> list[Sample]:
        return [
            one
            for one in self.samples
            if one.name == f"mm_nautilus_{name}" and labels.items() <= one.labels.items()
        ]


def full_state() -> LiveState:
    state = eventful_state()
    for symbol in (XRP, CROSS):
        figures = FIGURES | MORE | {"symbol": symbol}
        if symbol == CROSS:
            figures |= {"fees": "0.00000002 BTC", "realized_pnl": "0.00000001 BTC"}
        state.on_metrics(figures)
    publish_quotes(state, XRP, Quotes())
    state.on_connection(is_connected=True)
    return state


@contextmanager
def serving(
    state: LiveState, environment: dict[str, str] | None = None, **config: Any
) -> Iterator[PrometheusEndpoint]:
    endpoint = PrometheusEndpoint.open(PrometheusConfig(**{"port": 0, **config}), environment or {})
    failures: list[str] = []
    endpoint.begin(state, failures.append)
    try:
        yield endpoint
    finally:
        endpoint.close()
    assert failures == []


def port_of(endpoint: PrometheusEndpoint) -> int:
    found = re.search(r":(\d+)/metrics$", endpoint.url)
    assert found
    return int(found[1])


def ask(
    endpoint: PrometheusEndpoint, path: str = "/metrics", method: str = "GET", **headers: str
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(endpoint), timeout=PATIENCE_SECONDS)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def scrape(endpoint: PrometheusEndpoint, **headers: str) -> Scraped:
    status, text = ask(endpoint, **headers)
    assert status == 200
    return Scraped(text)


# -- Figures ------------------------------------------------------------------------------------------------


def test_every_number_of_a_symbols_metrics_is_a_metric() -> None:
    words = {"volatility_source", "state", "reason", "symbol", "instrument_id", "type", "ts_init"}
    fields = set(metrics_schema().names) | set(SymbolMetrics.__annotations__)
    tables = (
        prometheus.COUNTERS,
        prometheus.QUOTE_AMOUNTS,
        prometheus.REPORT_AMOUNTS,
        prometheus.BASE_AMOUNTS,
        prometheus.PRICES,
        prometheus.MARKET_PRICES,
        prometheus.PERCENTAGES,
        prometheus.MOMENTS,
    )
    assert {figure.key for table in tables for figure in table} == fields - words - {"feed_age_seconds"}


def test_figures_of_symbols_have_units_and_currencies() -> None:
    with serving(full_state()) as endpoint:
        found = scrape(endpoint)
    assert found.value("fills_total", symbol=XRP) == 3
    assert found.families["mm_nautilus_fills"].type == "counter"
    assert found.value("realized_pnl", symbol=XRP, currency="USDT") == 1.254
    assert found.value("realized_pnl", symbol=CROSS, currency="BTC") == 1e-8
    assert found.value("total_pnl_report", symbol=CROSS, currency="USDT") == -0.0125
    assert found.value("inventory", symbol=XRP, currency="XRP") == -8.5
    assert found.value("mid_price", symbol=XRP, currency="USDT") == 2.350005
    assert found.value("win_ratio", symbol=XRP) == 0.5
    assert found.value("volatility_ratio", symbol=XRP) == 0.0812 / 100
    assert found.value("symbol_updated_timestamp_seconds", symbol=XRP) == START_NS / 1e9
    for unknown in ("reservation_price", "funding_report"):
        assert math.isnan(found.value(unknown, symbol=XRP))
    gauges = {name for name, family in found.families.items() if family.type == "gauge"}
    assert {"mm_nautilus_fees", "mm_nautilus_realized_pnl", "mm_nautilus_account_equity"} <= gauges
    assert all(family.documentation.endswith(".") for family in found.families.values())


def test_figures_of_the_run_and_its_account() -> None:
    with serving(full_state()) as endpoint:
        found = scrape(endpoint)
    assert found.value("account_equity", currency="USDT") == 1000.5
    assert found.value("account_trading_pnl", currency="USDT") == 0.5
    assert found.value("account_max_drawdown_ratio") == 0.00125
    assert found.value("account_return_ratio") == 0.0005
    assert found.value("account_balance", currency="USDT") == 1000.5
    assert found.value("account_open_positions") == 1
    assert found.value("account_updated_timestamp_seconds") == START_NS / 1e9 + 2
    assert found.value("account_fees", currency="USDT") == 0.04
    assert found.value("feed_connected") == 1
    assert found.value("uptime_seconds") >= 0
    assert found.value("start_timestamp_seconds") == START_NS / 1e9
    assert found.value("run_status", status="running") == 1
    assert sum(one.value for one in found.of("run_status")) == 1
    assert found.of("build_info")[0].labels.keys() == {"version", "nautilus_trader", "python"}
    (run,) = found.of("run_info")
    assert (run.labels["name"], run.labels["simulated_data"]) == ("probe", "true")


def test_mid_and_reservation_price_are_those_beside_the_quotes() -> None:
    state = full_state()
    publish_quotes(state, XRP, Quotes(2.40, 8.5, 2.42, 4.0), mid_price=2.41, reservation_price=2.409)
    with serving(state) as endpoint:
        found = scrape(endpoint)
    assert found.value("mid_price", symbol=XRP, currency="USDT") == 2.41
    assert found.value("reservation_price", symbol=XRP, currency="USDT") == 2.409
    assert found.of("mid_price", symbol=CROSS) == [], "its market is not known yet"


def test_guards_quotes_and_the_connection() -> None:
    state = full_state()
    state.on_guard(GuardNote(START_NS, XRP, "halted", "halted after a drawdown: earlier"))
    publish_quotes(state, XRP, Quotes(2.34, 8.5, None, None, ask_reason='cap of "5"\nreached'), 1)
    publish_quotes(state, XRP, Quotes(2.33, 17.0, 2.37, 4.0), 2)
    state.on_connection(is_connected=False)
    with serving(state) as endpoint:
        found = scrape(endpoint)
    states = {one.labels["state"]: one.value for one in found.of("quoting_state", symbol=XRP)}
    assert states == {"quoting": 0, "paused": 0, "halted": 1}
    assert found.of("quoting_info", symbol=XRP)[0].labels["reason"] == 'ask: cap of "5"\nreached', (
        "of the moment of the prices"
    )
    assert found.value("quote_price", symbol=XRP, side="bid", level="1", currency="USDT") == 2.34
    assert found.value("quote_size", symbol=XRP, side="ask", level="2", currency="XRP") == 4
    assert math.isnan(found.value("quote_price", symbol=XRP, side="ask", level="1"))
    assert found.value("feed_connected") == 0
    both = Quotes(bid_reason="halted after a drawdown", ask_reason="halted after a drawdown")
    publish_quotes(state, XRP, both)
    with serving(state) as endpoint:
        (info,) = scrape(endpoint).of("quoting_info", symbol=XRP)
    assert info.labels["reason"] == "halted after a drawdown: earlier"


def test_a_run_that_has_published_nothing_is_scraped_too() -> None:
    with serving(made_state()) as endpoint:
        found = scrape(endpoint)
    assert found.value("run_status", status="starting") == 1
    assert math.isnan(found.value("account_equity", currency="USDT"))
    assert math.isnan(found.value("feed_connected"))
    assert found.of("fills_total") == []


def test_two_runs_in_one_process_share_nothing() -> None:
    with serving(full_state()) as one, serving(made_state()) as other:
        assert scrape(one).of("fills_total")
        assert not scrape(other).of("fills_total")


# -- Whom it answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metric", "/healthz", "/api/state", "/favicon.ico"])
def test_another_path_is_not_found(path: str) -> None:
    with serving(made_state()) as endpoint:
        assert ask(endpoint, path)[0] in ({404} if path != "/metrics/" else {307, 404})
        assert ask(endpoint, method="POST")[0] == 405


def test_a_foreign_host_name_is_refused_on_loopback() -> None:
    with serving(full_state()) as endpoint:
        status, text = ask(endpoint, Host="evil.example")
        assert (status, "XRP" in text) == (421, False)
        assert ask(endpoint, Host="localhost:1")[0] == 200


def test_a_token_is_needed_where_one_is_set_and_is_shown_nowhere() -> None:
    with serving(full_state(), {VARIABLE: TOKEN}, host="0.0.0.0") as endpoint:  # noqa: S104
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
            assert ask(endpoint, **headers) == (401, "a token is needed\n")
        assert ask(endpoint, Authorization=f"bearer {TOKEN}")[0] == 200, "RFC 9110: any case"
        status, text = ask(endpoint, Authorization=f"Bearer {TOKEN}", Host="metrics.example")
        assert (status, TOKEN in text) == (200, False)
        assert TOKEN not in f"{endpoint.summary}{endpoint.words}"
        assert endpoint.summary["needs_token"]
        assert VARIABLE in endpoint.words


def test_an_address_other_machines_reach_needs_a_token() -> None:
    with pytest.raises(
        ConfigError, match=r"prometheus\.host: a Prometheus endpoint .* was 0\.0\.0\.0, needs"
    ):
        PrometheusEndpoint.open(PrometheusConfig(host="0.0.0.0"), {})  # noqa: S104
    with pytest.raises(ConfigError, match=f"endpoint's token in {VARIABLE} must have at least 16"):
        PrometheusEndpoint.open(PrometheusConfig(), {VARIABLE: "short"})


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"prometheus: 127\.0\.0\.1 port {port}: .* \(--metrics-port\)"
        ):
            PrometheusEndpoint.open(PrometheusConfig(port=port), {})


# -- What scrapers do wrong ---------------------------------------------------------------------------------


def test_scrapes_that_hang_and_fifty_at_once_keep_nobody_waiting() -> None:
    with serving(full_state()) as endpoint:
        hanging = [
            socket.create_connection(("127.0.0.1", port_of(endpoint)), PATIENCE_SECONDS) for _ in range(20)
        ]
        for number, connection in enumerate(hanging):
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"[: number * 3])
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(ask(endpoint)[0]), daemon=True) for _ in range(50)
        ]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert statuses == [200] * 50
        assert time.monotonic() - began < PATIENCE_SECONDS
        for connection in hanging:
            connection.close()


def test_nonsense_in_headers_and_queries_is_no_failure() -> None:
    with serving(full_state()) as endpoint:
        for accept in ("application/openmetrics-text;version=abc", "text/plain;version=", "\xff"):
            assert ask(endpoint, Accept=accept)[0] == 200
        assert ask(endpoint, "/metrics?name[]=%ff&x")[0] == 200
        assert endpoint.summary["failure"] is None
