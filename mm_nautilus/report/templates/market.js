
/* A symbol's market, quotes and fills, drawn of the packed columns at each zoom. */

function firstRow(values, wanted) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* Rows from first to last to draw: all, or of each stretch the lowest and the highest. */
function rowsToDraw(values, first, last, most) {
  const rows = [];
  const count = last - first;
  if (count <= most) {
    for (let row = first; row < last; row += 1) rows.push(row);
    return rows;
  }
  const size = Math.ceil((2 * count) / most);
  for (let start = first; start < last; start += size) {
    const end = Math.min(start + size, last);
    let low = -1;
    let high = -1;
    for (let row = start; row < end; row += 1) {
      if (Number.isNaN(values[row])) continue;
      if (low < 0 || values[row] < values[low]) low = row;
      if (high < 0 || values[row] > values[high]) high = row;
    }
    if (low < 0) rows.push(start);
    else if (low === high) rows.push(low);
    else rows.push(Math.min(low, high), Math.max(low, high));
  }
  if (rows.at(-1) !== last - 1) rows.push(last - 1);
  return rows;
}

/* The touch once a second and at each change of our quotes, in time order. */
function touchOf(...parts) {
  const rows = parts.flatMap(({ t, best_bid: bid, best_ask: ask }) => Array.from(t, (at, row) => [at, bid[row], ask[row]]));
  rows.sort(([a], [b]) => a - b);
  const column = (number) => Float64Array.from(rows, (row) => row[number]);
  return { t: column(0), best_bid: column(1), best_ask: column(2) };
}

// -- A symbol's figure -----------------------------------------------------------------------------------

const WIDEST_AROUND_A_FILL = 600e3;
const AROUND_A_FILL = 300e3;
const MOMENT_SHIFT = -90e3; // more is shown of what led to a moment than of what followed
const ROUNDED = 2; // milliseconds by which moments of the page differ as they are rounded
const MARKET_SHAPES = { market_buys: 1, market_sells: -1, market_unknown: 0 };

class SymbolView {
  constructor(element) {
    this.element = element;
    this.data = read(element.dataset.view);
    this.book = books.get(element.dataset.symbol);
    this.columns = null;
    this.turn = 0;
    this.chosen = null; // a row of the fills
    this.anchor = null; // the first fill after a moment that was asked for, if it lies outside of what is shown
    this.full = [this.data.start_ms, this.data.end_ms];
  }

  async show() {
    await this.move(...this.span);
    this.element.on("plotly_relayout", (change) => this.onRelayout(change));
  }

  onRelayout(change) {
    if (change["xaxis.autorange"]) this.showAll();
    else if (change["xaxis.range[0]"] !== undefined) {
      this.move(moment(change["xaxis.range[0]"]), moment(change["xaxis.range[1]"]));
    } else if (change["xaxis.range"]) this.move(...change["xaxis.range"].map(moment));
  }

  showAll() {
    this.chosen = null;
    return this.move(...this.full);
  }

  /* Show what lies between two moments; a chosen fill that lies outside is chosen no more. */
  async move(from, to) {
    if (this.chosen !== null) {
      const at = this.book.time(this.chosen);
      if (at < from || at > to) this.chosen = null;
    }
    this.anchor = null;
    await this.zoom(from, to);
    sayChosen(this);
  }

  /* Show a moment and choose the first fill at or after it. */
  async goTo(at) {
    const row = firstRow(this.book.t, at - this.data.start_ms - ROUNDED);
    const [from, to] = this.around(at + MOMENT_SHIFT, AROUND_A_FILL);
    this.chosen = row < this.book.length ? row : null;
    await this.move(from, to);
    if (this.chosen === null) this.anchor = row;
    sayChosen(this);
  }

  async load() {
    const { market: sampled, trades: executed, quotes: nearest, outer: further } = this.data;
    this.columns ??= Promise.all([sampled, executed, nearest, ...further].map(unpack));
    const [market, trades, ...levels] = await this.columns;
    this.touch ??= touchOf(market, levels[0]);
    return { market, trades, levels };
  }

  /* What is shown, milliseconds since the epoch. */
  get span() { return this.element.dataset.span?.split(" ").map(Number) ?? this.data.opening; }

  /* Draw what lies between two moments, milliseconds since the epoch, as finely as it was recorded. */
  async zoom(from, to) {
    this.turn += 1;
    const turn = this.turn;
    const { market, trades, levels } = await this.load();
    if (turn !== this.turn) return;
    const span = { from: from - this.data.start_ms, to: to - this.data.start_ms };
    const lines = { ...market, floor: market.cap.map((value) => -value) };
    const largest = this.largest(trades, span);
    const fills = this.fillsWithin(span);
    const data = this.data.figure.data.map((trace) => {
      const { key, level } = trace.meta;
      if (key === "bid" || key === "ask") {
        const quotes = levels[(level ?? 1) - 1];
        return { ...trace, ...this.points(quotes.t, quotes[key], span) };
      }
      if (key in this.touch) return { ...trace, ...this.points(this.touch.t, this.touch[key], span) };
      if (key === "shift") return { ...trace, ...this.points(levels[0].t, levels[0].shift, span) };
      if (key in lines) return { ...trace, ...this.points(market.t, lines[key], span) };
      if (key in MARKET_SHAPES) return { ...trace, ...this.marketMarks(trades, largest, MARKET_SHAPES[key]) };
      if (key === "buys" || key === "sells") return { ...trace, ...this.marks(trace, key === "buys", fills) };
      if (key === "chosen" && this.chosen !== null) {
        return { ...trace, x: [this.book.time(this.chosen)], y: [this.book.price[this.chosen]], text: [""] };
      }
      return trace;
    });
    this.shares(levels[0], span, data);
    const xaxis = { ...this.data.figure.layout.xaxis, range: [from, to], autorange: false };
    await draw(this.element, { data, layout: { ...this.data.figure.layout, xaxis } });
    this.element.dataset.rows = String(firstRow(market.t, span.to) - firstRow(market.t, span.from));
    this.element.dataset.span = `${Math.round(from)} ${Math.round(to)}`;
    pressWidths(this);
  }

  points(t, values, { from, to }) {
    const first = Math.max(0, firstRow(t, from) - 1);
    const last = Math.min(t.length, firstRow(t, to) + 1);
    const rows = rowsToDraw(values, first, last, this.data.most_points);
    const start = this.data.start_ms;
    return { x: rows.map((row) => start + t[row]), y: rows.map((row) => (Number.isNaN(values[row]) ? null : values[row])) };
  }

  /* The largest of the market's trades within a span, in time order. */
  largest({ t, size }, { from, to }) {
    const first = firstRow(t, from);
    const rows = Array.from({ length: firstRow(t, to) - first }, (_, index) => first + index);
    if (rows.length <= this.data.most_trades) return rows;
    return rows.sort((a, b) => size[b] - size[a]).slice(0, this.data.most_trades).sort((a, b) => a - b);
  }

  marketMarks({ t, price, size, direction }, largest, wanted) {
    const rows = largest.filter((row) => direction[row] === wanted);
    const done = { 1: "taker bought", "-1": "taker sold", 0: "traded" }[wanted];
    const { base, quote, decimals, start_ms: start } = this.data;
    return {
      x: rows.map((row) => start + t[row]),
      y: rows.map((row) => price[row]),
      text: rows.map((row) => `market: ${done} ${decimal(size[row], 0, 8)} ${base} at ${decimal(price[row], decimals - 1)} ${quote}`),
    };
  }

  fillsWithin({ from, to }) {
    const first = firstRow(this.book.t, from);
    return Array.from({ length: firstRow(this.book.t, to + 1) - first }, (_, index) => first + index);
  }

  marks(trace, isBuy, fills) {
    const { book } = this;
    let rows = fills.filter((row) => (book.is_buy[row] === 1) === isBuy);
    const most = this.data.most_fills;
    if (rows.length > most) rows = Array.from({ length: most }, (_, index) => rows[Math.round((index * (rows.length - 1)) / (most - 1))]);
    const shape = isBuy ? "triangle-up" : "triangle-down";
    const isFew = fills.length <= this.data.few_fills; // of both sides, so that they look alike
    const look = { size: isFew ? 11 : 7, line: { ...trace.marker.line, width: isFew ? 1 : 0.5 } };
    return {
      x: rows.map((row) => book.time(row)),
      y: rows.map((row) => book.price[row]),
      text: rows.map((row) => book.words(row)),
      marker: { ...trace.marker, ...look, symbol: rows.map((row) => (book.is_maker[row] === 1 ? shape : `${shape}-open`)) },
    };
  }

  /* Put the share of time that each reason kept a side without a quote into its bars. */
  shares(quotes, { from, to }, data) {
    const buckets = this.data.share_buckets;
    const width = (to - from) / buckets;
    const held = this.data.reasons.map(() => new Float64Array(buckets));
    for (const codes of [quotes.bid_reason, quotes.ask_reason]) {
      for (let row = Math.max(0, firstRow(quotes.t, from) - 1); row + 1 < quotes.t.length && quotes.t[row] < to; row += 1) {
        if (codes[row] < 0) continue;
        const start = Math.max(quotes.t[row], from);
        const end = Math.min(quotes.t[row + 1], to);
        for (let bucket = Math.floor((start - from) / width); bucket < buckets && from + bucket * width < end; bucket += 1) {
          const low = Math.max(start, from + bucket * width);
          const high = Math.min(end, from + (bucket + 1) * width);
          if (high > low) held[codes[row]][bucket] += (50 * (high - low)) / width;
        }
      }
    }
    const x = Array.from({ length: buckets }, (_, bucket) => this.data.start_ms + from + (bucket + 0.5) * width);
    data.forEach((trace, index) => {
      if (trace.meta.key === "reason") data[index] = { ...trace, x, y: Array.from(held[trace.meta.code]), width };
    });
  }

  // -- One fill ------------------------------------------------------------------------------------------

  /* Mark a fill and say its figures; the view moves only if it lies near an edge or beyond, or shows too much. */
  async choose(row) {
    this.chosen = row;
    this.anchor = null;
    const at = this.book.time(row);
    let [from, to] = this.span;
    const width = to - from > WIDEST_AROUND_A_FILL ? AROUND_A_FILL : to - from;
    if (width !== to - from || at < from + width / 10 || at > to - width / 10) [from, to] = this.around(at, width);
    await this.zoom(from, to);
    sayChosen(this);
  }

  /* A span of a width around a moment, within the run. */
  around(at, width) {
    const [first, last] = this.full;
    const from = Math.max(first, Math.min(at - width / 2, last - width));
    return [from, Math.min(from + width, last)];
  }

  /* The fill after the chosen one, or before it; without one the first, or the last, of what is shown. */
  next(by) {
    if (this.chosen !== null) return this.chosen + by;
    if (this.anchor !== null) return by > 0 ? this.anchor : this.anchor - 1;
    const [from, to] = this.span.map((at) => at - this.data.start_ms);
    return by > 0 ? firstRow(this.book.t, from) : firstRow(this.book.t, to + 1) - 1;
  }

  step(by) {
    const row = this.next(by);
    return row >= 0 && row < this.book.length ? this.choose(row) : Promise.resolve();
  }
}

const moment = (value) => (typeof value === "number" ? value : Date.parse(`${value.replace(" ", "T")}Z`));

// -- The section -----------------------------------------------------------------------------------------

const views = new Map();

async function openView(symbol) {
  const before = shownView();
  for (const tab of document.querySelectorAll("[data-tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.tab === symbol));
    tab.tabIndex = tab.dataset.tab === symbol ? 0 : -1;
  }
  for (const element of document.querySelectorAll("[data-view]")) {
    element.hidden = element.dataset.symbol !== symbol;
    if (element.hidden) continue;
    const span = before?.element.dataset.span;
    if (!views.has(symbol)) {
      if (span) element.dataset.span = span;
      views.set(symbol, new SymbolView(element));
      await views.get(symbol).show();
    } else if (span && span !== element.dataset.span) await views.get(symbol).move(...before.span);
    else if (drawn.get(element).isStale) await draw(element, drawn.get(element).figure);
    else Plotly.Plots.resize(element);
  }
  const view = views.get(symbol);
  pressWidths(view);
  sayChosen(view);
  return view;
}

const shownView = () => views.get(document.querySelector('[data-tab][aria-selected="true"]').dataset.tab);

/* Show which button's width is shown; one of no less than the run is All. */
function pressWidths(view) {
  const [from, to] = view.span;
  const full = view.full[1] - view.full[0];
  for (const button of document.querySelectorAll("[data-seconds]")) {
    const width = 1000 * Number(button.dataset.seconds);
    button.hidden = width >= full;
    button.setAttribute("aria-pressed", String(Math.abs(to - from - (width || full)) < 2));
  }
}

/* Write the chosen fill's figures above the chart. */
function sayChosen(view) {
  const { chosen, book } = view;
  const line = document.getElementById("chosen-fill");
  line.classList.toggle("chosen", chosen !== null);
  line.textContent = chosen === null
    ? `${decimal(book.length, 0)} ${book.length === 1 ? "fill" : "fills"}`
    : `Fill ${decimal(chosen + 1, 0)} of ${decimal(book.length, 0)}, ${clock(book.time(chosen))} UTC: ${book.words(chosen)}`;
  for (const button of document.querySelectorAll("[data-step]")) {
    const next = view.next(Number(button.dataset.step));
    button.disabled = next < 0 || next >= book.length;
  }
}

/* Open a symbol's figure at one of its fills. */
async function showFill(symbol, row) {
  const view = await openView(symbol);
  await view.choose(row);
  goTo(view);
}

function goTo(view) {
  document.getElementById("market").scrollIntoView({ block: "start" });
  view.element.focus({ preventScroll: true });
}

async function openMarket() {
  for (const tab of document.querySelectorAll("[data-tab]")) {
    tab.addEventListener("click", () => openView(tab.dataset.tab));
    tab.addEventListener("keydown", (event) => {
      const tabs = [...document.querySelectorAll("[data-tab]")];
      const at = tabs.indexOf(tab);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: -1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = tabs.at(to % tabs.length);
      next.focus();
      openView(next.dataset.tab);
    });
  }
  for (const button of document.querySelectorAll("[data-seconds]")) {
    button.addEventListener("click", () => {
      const view = shownView();
      const width = 1000 * Number(button.dataset.seconds);
      if (!width) return view.showAll();
      const [from, to] = view.span;
      return view.move(...view.around(view.chosen === null ? (from + to) / 2 : view.book.time(view.chosen), width));
    });
  }
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => shownView().step(Number(button.dataset.step)));
  }
  for (const element of document.querySelectorAll("[data-view]")) {
    element.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      shownView().step(by);
    });
  }
  for (const button of document.querySelectorAll("[data-moment]")) {
    button.addEventListener("click", async () => {
      const view = await openView(button.dataset.symbol);
      await view.goTo(Number(button.dataset.moment));
      goTo(view);
    });
  }
  const first = document.querySelector('[data-tab][aria-selected="true"]');
  if (first) await openView(first.dataset.tab);
}

additions.push(openMarket);
