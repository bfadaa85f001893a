"use strict";
/* Draws the figures that the page carries as data, in light or dark, and draws a symbol's figure again from the
   packed columns at each zoom. Colours that begin with @ are names of the palettes below. */

/* One meaning a colour: blue is the buy side, orange the sell side, green gain, red loss, amber a warning or a pause, grey
   the market and what is context, the text's colour our total; a pair has a hue of its own, s0 to s4, and a dash. */
const PALETTES = {
  light: {
    text: "#1b1f24", paper: "#ffffff", grid: "#e4e8ec", axis: "#8b949e", muted: "#6e7781", total: "#1b1f24",
    gross: "#6e7781", market: "#57606a", mid: "#57606a", touch: "#8b949e", buy: "#0072b2", bid: "#0072b2", sell: "#d55e00",
    ask: "#d55e00", gain: "#00845a", loss: "#b3122b", warn: "#8f6a00", pause: "#c9a227", trail: "#8f6a00", train: "#6e7781",
    test: "#7d4bb8", s0: "#7d4bb8", s1: "#00727a", s2: "#8c5a33", s3: "#d06fae", s4: "#4f5216",
  },
  dark: {
    text: "#e6edf3", paper: "#14181d", grid: "#2b333c", axis: "#6e7781", muted: "#9aa4af", total: "#e6edf3",
    gross: "#9aa4af", market: "#9aa4af", mid: "#9aa4af", touch: "#6e7781", buy: "#56b4e9", bid: "#56b4e9", sell: "#f0883e",
    ask: "#f0883e", gain: "#5fdca3", loss: "#ff6e64", warn: "#e3b341", pause: "#a88427", trail: "#e3b341", train: "#9aa4af",
    test: "#a47df0", s0: "#a47df0", s1: "#3fc2b8", s2: "#c9a27c", s3: "#f7b3dc", s4: "#c5c367",
  },
};
const CONFIG = {
  displaylogo: false, responsive: true, plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
};
const MISSING = -(2 ** 31);

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const drawn = new Map();

// -- Light and dark --------------------------------------------------------------------------------------

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;
let isPrinting = false;
const theme = () => (isPrinting ? "light" : chosenTheme ?? (prefersDark.matches ? "dark" : "light"));

function coloured(value, palette) {
  if (typeof value === "string") return value.startsWith("@") ? palette[value.slice(1)] ?? value : value;
  if (ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) {
    return typeof value[0] === "number" || value[0] === null ? value : value.map((item) => coloured(item, palette));
  }
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, palette)]));
  }
  return value;
}

function applyTheme() {
  document.documentElement.dataset.theme = theme();
  const button = document.getElementById("theme");
  button.textContent = theme() === "dark" ? "Light" : "Dark";
  button.setAttribute("aria-label", `Show the page in ${theme() === "dark" ? "light" : "dark"} colours`);
}

async function redrawAll() {
  applyTheme();
  const draws = [];
  for (const [element, entry] of drawn) {
    if (element.offsetParent !== null) draws.push(draw(element, entry.figure));
    else entry.isStale = true;
  }
  await Promise.all(draws);
}

/* Put what is shown on paper: in light colours, as wide as a sheet. The browser waits for what is done at once. */
function setPaper(isBegin) {
  isPrinting = isBegin;
  redrawAll();
}

// -- Figures ---------------------------------------------------------------------------------------------

const SHEET_PIXELS = 700;
const SHEET_SHARE = 0.8; // of a figure's height, so that two stand on a sheet
const NARROW_PIXELS = 600;
const BUTTONS_PIXELS = 24; // of Plotly's buttons, for which a narrow title leaves no room beside it
const LONGEST_OF_TWO = 21; // letters of a legend's entry that leave room for another beside it

function fitted({ data, layout }, element) {
  if (isPrinting) {
    return { data, layout: { ...layout, autosize: false, width: SHEET_PIXELS, height: SHEET_SHARE * layout.height } };
  }
  const made = { ...layout, autosize: true, width: undefined };
  if (element.clientWidth >= NARROW_PIXELS) return { data, layout: made };
  made.height = layout.height + BUTTONS_PIXELS;
  made.margin = { ...layout.margin, t: layout.margin.t + BUTTONS_PIXELS };
  made.dragmode = false; // a finger scrolls the page; the buttons zoom
  made.font = { ...layout.font, size: 11 };
  made.legend = { ...layout.legend, font: { size: 10 } };
  if (data.every(({ name }) => name.length <= LONGEST_OF_TWO)) {
    made.legend = { ...made.legend, entrywidthmode: "fraction", entrywidth: 0.5 };
  }
  made.annotations = layout.annotations.map((note) => ({ ...note, font: { ...note.font, size: 11 } }));
  const smaller = (trace) => (typeof trace.marker?.size === "number" ? { ...trace, marker: { ...trace.marker, size: 0.7 * trace.marker.size } } : trace);
  return { data: data.map(smaller), layout: made };
}

async function draw(element, figure) {
  const { data, layout } = fitted(coloured(figure, PALETTES[theme()]), element);
  drawn.set(element, { figure, isStale: false });
  await Plotly.react(element, data, { ...layout, uirevision: "kept" }, CONFIG);
  element.dataset.drawn = String(Number(element.dataset.drawn ?? 0) + 1);
}

// -- Packed columns --------------------------------------------------------------------------------------

async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const columns = {};
  let offset = 0;
  for (const { name, unit, rows, is_whole: isWhole } of packed.columns) {
    const values = new Float64Array(rows);
    if (isWhole) {
      const steps = new Int32Array(buffer.slice(offset, offset + 4 * rows));
      let sum = 0;
      for (let row = 0; row < rows; row += 1) {
        sum = (sum + steps[row]) | 0;
        values[row] = sum === MISSING ? NaN : sum * unit;
      }
      offset += 4 * rows;
    } else {
      values.set(new Float64Array(buffer.slice(offset, offset + 8 * rows)));
      offset += 8 * rows;
    }
    columns[name] = values;
  }
  return columns;
}

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

// -- A symbol's figure -----------------------------------------------------------------------------------

class SymbolView {
  constructor(element) {
    this.element = element;
    this.data = read(element.dataset.view);
    this.columns = null;
    this.turn = 0;
    this.full = this.data.figure.layout.xaxis.range;
  }

  async show() {
    await draw(this.element, this.data.figure);
    this.element.on("plotly_relayout", (change) => this.onRelayout(change));
  }

  onRelayout(change) {
    if (change["xaxis.autorange"]) this.zoom(...this.full);
    else if (change["xaxis.range[0]"] !== undefined) {
      this.zoom(moment(change["xaxis.range[0]"]), moment(change["xaxis.range[1]"]));
    } else if (change["xaxis.range"]) this.zoom(...change["xaxis.range"].map(moment));
  }

  async load() {
    const { market: sampled, quotes: nearest, fills: executed, outer: further } = this.data;
    this.columns ??= Promise.all([sampled, executed, nearest, ...further].map(unpack));
    const [market, fills, ...levels] = await this.columns;
    return { market, fills, levels };
  }

  /* Draw what lies between two moments, milliseconds since the epoch, as finely as it was recorded. */
  async zoom(from, to) {
    this.turn += 1;
    const turn = this.turn;
    const { market, fills, levels } = await this.load();
    if (turn !== this.turn) return;
    const span = { from: from - this.data.start_ms, to: to - this.data.start_ms };
    const lines = { mid: market.mid, trail: market.trail, inventory: market.inventory, cap: market.cap, shift: market.shift };
    lines.floor = market.cap.map((value) => -value);
    const data = this.data.figure.data.map((trace) => {
      const key = trace.meta.key;
      if (key in lines) return { ...trace, ...this.points(market.t, lines[key], span) };
      if (key === "bid" || key === "ask") {
        const quotes = levels[(trace.meta.level ?? 1) - 1];
        return { ...trace, ...this.points(quotes.t, quotes[key], span) };
      }
      if (key === "buys" || key === "sells") return { ...trace, ...this.marks(trace, fills, key === "buys", span) };
      return trace;
    });
    this.shares(levels[0], span, data);
    const xaxis = { ...this.data.figure.layout.xaxis, range: [from, to], autorange: false };
    await draw(this.element, { data, layout: { ...this.data.figure.layout, xaxis } });
    this.element.dataset.rows = String(firstRow(market.t, span.to) - firstRow(market.t, span.from));
    this.element.dataset.span = `${Math.round(from)} ${Math.round(to)}`;
  }

  points(t, values, { from, to }) {
    const first = Math.max(0, firstRow(t, from) - 1);
    const last = Math.min(t.length, firstRow(t, to) + 1);
    const rows = rowsToDraw(values, first, last, this.data.most_points);
    const start = this.data.start_ms;
    return { x: rows.map((row) => start + t[row]), y: rows.map((row) => (Number.isNaN(values[row]) ? null : values[row])) };
  }

  marks(trace, fills, isBuy, { from, to }) {
    let rows = [];
    for (let row = firstRow(fills.t, from); row < firstRow(fills.t, to); row += 1) {
      if ((fills.is_buy[row] === 1) === isBuy) rows.push(row);
    }
    const most = this.data.most_fills;
    if (rows.length > most) rows = Array.from({ length: most }, (_, index) => rows[Math.round((index * (rows.length - 1)) / (most - 1))]);
    const shape = isBuy ? "triangle-up" : "triangle-down";
    const isFew = rows.length <= this.data.few_fills;
    const look = { size: isFew ? 9 : 5, line: { ...trace.marker.line, width: isFew ? 1 : 0 } };
    return {
      x: rows.map((row) => this.data.start_ms + fills.t[row]),
      y: rows.map((row) => fills.price[row]),
      customdata: rows.map((row) => [
        Number(fills.quantity[row].toPrecision(9)), Number(fills.fee[row].toPrecision(9)),
        fills.is_maker[row] === 1 ? "made liquidity" : "took liquidity",
      ]),
      marker: { ...trace.marker, ...look, symbol: rows.map((row) => (fills.is_maker[row] === 1 ? shape : `${shape}-open`)) },
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
}

const moment = (value) => (typeof value === "number" ? value : Date.parse(`${value.replace(" ", "T")}Z`));

// -- The page --------------------------------------------------------------------------------------------

const views = new Map();

async function openView(symbol) {
  for (const tab of document.querySelectorAll("[data-tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.tab === symbol));
  }
  for (const element of document.querySelectorAll("[data-view]")) {
    element.hidden = element.dataset.symbol !== symbol;
    if (element.hidden) continue;
    if (!views.has(symbol)) {
      views.set(symbol, new SymbolView(element));
      await views.get(symbol).show();
    } else if (drawn.get(element).isStale) await draw(element, drawn.get(element).figure);
    else Plotly.Plots.resize(element);
  }
  return views.get(symbol);
}

const shownView = () => views.get(document.querySelector('[data-tab][aria-selected="true"]').dataset.tab);

function span(view) {
  const shown = view.element.dataset.span?.split(" ").map(Number);
  return shown ?? view.full;
}

function listen() {
  document.getElementById("theme").addEventListener("click", () => {
    chosenTheme = theme() === "dark" ? "light" : "dark";
    redrawAll();
  });
  prefersDark.addEventListener("change", () => chosenTheme ?? redrawAll());
  window.addEventListener("beforeprint", () => setPaper(true));
  window.addEventListener("afterprint", () => setPaper(false));
  for (const tab of document.querySelectorAll("[data-tab]")) {
    tab.addEventListener("click", () => openView(tab.dataset.tab));
  }
  for (const button of document.querySelectorAll("[data-seconds]")) {
    button.addEventListener("click", () => {
      const view = shownView();
      const width = 1000 * Number(button.dataset.seconds);
      if (!width) return view.zoom(...view.full);
      const [from, to] = span(view);
      const middle = Math.min(Math.max((from + to) / 2, view.full[0] + width / 2), view.full[1] - width / 2);
      return view.zoom(Math.max(middle - width / 2, view.full[0]), Math.min(middle + width / 2, view.full[1]));
    });
  }
  for (const button of document.querySelectorAll("[data-moment]")) {
    button.addEventListener("click", async () => {
      const view = await openView(button.dataset.symbol);
      const at = Number(button.dataset.moment);
      await view.zoom(at - 240e3, at + 60e3);
      view.element.scrollIntoView({ block: "start" });
    });
  }
}

async function main() {
  applyTheme();
  listen();
  for (const element of document.querySelectorAll("[data-figure-data]")) {
    await draw(element, read(element.dataset.figureData));
  }
  const first = document.querySelector("[data-tab]");
  if (first) await openView(first.dataset.tab);
  document.documentElement.dataset.ready = "true";
}

main();
