/* Draws the lines over time, the prices of the last minutes and the results by day. */

const SVG = "http://www.w3.org/2000/svg";
const MOST_PRICES = 600;
const PRICE_MS = 1000;

let shownLine = "trading_pnl";
let prices = {};
let days = null;
let lastFills = [];

function draw(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function moneyText(value, signed) {
  const amount = Math.abs(value);
  let digits = amount.toFixed(curve.decimals);
  // What would read as nothing and is not has two significant digits.
  if (amount && !Number(digits)) digits = amount.toFixed(Math.min(8, 1 - Math.floor(Math.log10(amount))));
  const sign = value < 0 && Number(digits) ? "-" : signed && value ? "+" : "";
  return curve.is_dollar ? `${sign}$${digits}` : `${sign}${digits} ${curve.currency}`;
}

function clockText(ms, span) {
  const text = new Date(ms).toISOString();
  return span > 86400000 ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(11, 19);
}

// -- Trading PnL and equity ------------------------------------------------------------------------------

function showCurve() {
  const place = byId("chart");
  if (curve === null || place.clientWidth === 0) return;
  const { ms, value } = curve[shownLine];
  if (ms.length < 2) {
    place.replaceChildren(make("p", { class: "note" }, "The line begins with the second figures of the account."));
    return;
  }
  const isSigned = shownLine !== "equity";
  const [width, height, left, bottom, top] = [place.clientWidth, place.clientHeight, 76, 20, 8];
  const [first, last] = [ms[0], ms.at(-1)];
  let [low, high] = [Math.min(...value), Math.max(...value)];
  if (isSigned) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  if (high - low < 0.02) [low, high] = [low - 0.01, high + 0.01];
  const x = (moment) => left + ((moment - first) / Math.max(1, last - first)) * (width - left - 4);
  const y = (amount) => top + ((high - amount) / (high - low)) * (height - top - bottom);
  const path = ms.map((moment, index) => `${x(moment).toFixed(1)} ${y(value[index]).toFixed(1)}`).join(" L ");
  const name = isSigned ? "Trading PnL" : "Equity";
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${name} over time, from ${moneyText(value[0], isSigned)} to ${moneyText(value.at(-1), isSigned)}` });
  const middle = (high + low) / 2;
  const amounts = isSigned ? [high, 0, low] : [high, middle, low];
  let written = -Infinity;
  for (const amount of amounts) {
    svg.append(draw("line", { class: isSigned && amount === 0 ? "grid zero" : "grid", x1: left, x2: width - 4, y1: y(amount), y2: y(amount) }));
    if (y(amount) - written < 14) continue;
    written = y(amount);
    svg.append(draw("text", { x: left - 6, y: y(amount) + 4, "text-anchor": "end" }, moneyText(amount, isSigned)));
  }
  svg.append(draw("text", { x: left, y: height - 4 }, `${clockText(first, last - first)} UTC`));
  svg.append(draw("text", { x: width - 4, y: height - 4, "text-anchor": "end" }, `${clockText(last, last - first)} UTC`));
  const base = y(isSigned ? 0 : low);
  svg.append(draw("path", { class: "area", d: `M ${x(first)} ${base} L ${path} L ${x(last)} ${base} Z` }));
  svg.append(draw("path", { class: "line", d: `M ${path}` }));
  place.replaceChildren(svg);
  place.dataset.points = String(ms.length);
  svg.addEventListener("pointermove", (event) => point(svg, event, { ms, value, x, y, top, height, bottom }));
  svg.addEventListener("pointerleave", () => {
    svg.querySelectorAll(".cross, .dot").forEach((element) => element.remove());
    setText(byId("reading"), "");
  });
}

function point(svg, event, { ms, value, x, y, top, height, bottom }) {
  const at = event.clientX - svg.getBoundingClientRect().left;
  let nearest = 0;
  ms.forEach((moment, index) => {
    if (Math.abs(x(moment) - at) < Math.abs(x(ms[nearest]) - at)) nearest = index;
  });
  const [px, py] = [x(ms[nearest]), y(value[nearest])];
  svg.querySelectorAll(".cross, .dot").forEach((element) => element.remove());
  svg.append(draw("line", { class: "cross", x1: px, x2: px, y1: top, y2: height - bottom }));
  svg.append(draw("circle", { class: "dot", cx: px, cy: py, r: 4 }));
  const moment = new Date(ms[nearest]).toISOString();
  setText(byId("reading"), `${moment.slice(0, 10)} ${moment.slice(11, 19)} UTC: ${moneyText(value[nearest], shownLine !== "equity")} (${curve.currency})`);
}

document.querySelectorAll("[data-line]").forEach((button) => button.addEventListener("click", () => {
  shownLine = button.dataset.line;
  document.querySelectorAll("[data-line]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
  setText(byId("line-title"), button.textContent);
  setText(byId("reading"), "");
  showCurve();
}));

// -- Days ------------------------------------------------------------------------------------------------

function showDays(document_) {
  days = document_;
  const heads = byId("day-heads");
  if (heads.childElementCount === 0) {
    heads.append(...labels.day.map((label) => make("th", { title: label.meaning, class: label.key === "day" ? "" : "number" }, label.text)));
  }
  const rows = [...days.days, ...(days.earlier ? [days.earlier] : [])];
  byId("day-rows").replaceChildren(...rows.map((row) => {
    const line = make("tr");
    for (const label of labels.day) {
      const cell = make("td", { class: label.key === "day" ? "" : "number" });
      if (label.key === "day") setText(cell, row.day);
      else setFigure(cell, label, row[label.key]);
      if (label.key === "trading_pnl") setGain(cell, row.trading_pnl.value);
      line.append(cell);
    }
    return line;
  }));
  showDayBars();
}

function showDayBars() {
  const place = byId("day-chart");
  if (days === null) return;
  place.hidden = days.days.length < 2;
  if (place.hidden || place.clientWidth === 0) return;
  const shown = [...days.days].reverse();
  const [width, height, top, bottom] = [place.clientWidth, place.clientHeight, 6, 20];
  const values = shown.map((day) => day.trading_pnl.value);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const y = (amount) => top + ((high - amount) / Math.max(1e-12, high - low)) * (height - top - bottom);
  const step = (width - 8) / shown.length;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Trading PnL of ${shown.length} days, the last ${shown.at(-1).trading_pnl.text}` });
  svg.append(draw("line", { class: "grid zero", x1: 4, x2: width - 4, y1: y(0), y2: y(0) }));
  shown.forEach((day, index) => {
    const value = day.trading_pnl.value;
    const bar = draw("rect", { class: value < 0 ? "bar loss" : "bar gain", x: 4 + index * step + step * 0.15,
      width: Math.min(step * 0.7, 40), y: Math.min(y(value), y(0)), height: Math.max(1, Math.abs(y(value) - y(0))) });
    bar.append(draw("title", {}, `${day.day}: ${day.trading_pnl.text}`));
    svg.append(bar);
  });
  svg.append(draw("text", { x: 4, y: height - 4 }, shown[0].day));
  svg.append(draw("text", { x: width - 4, y: height - 4, "text-anchor": "end" }, shown.at(-1).day));
  place.replaceChildren(svg);
}

// -- Prices ----------------------------------------------------------------------------------------------

function beginPrices(document_) {
  prices = document_;
  showPrices();
}

function addPrices() {
  for (const symbol of state.symbols) {
    const [at, columns] = [symbol.quotes_as_of_ms, prices[symbol.symbol]];
    if (at === null || columns === undefined || Math.abs(at - (columns.ms.at(-1) ?? 0)) < PRICE_MS) continue;
    const { touch, bid, ask } = symbol.figures;
    const added = { ms: at, best_bid: touch.bid, best_ask: touch.ask, bid: bid.value, ask: ask.value };
    for (const [name, value] of Object.entries(added)) {
      columns[name].push(value);
      if (columns[name].length > MOST_PRICES) columns[name].shift();
    }
  }
  showPrices();
}

function showPrices() {
  if (state === null) return;
  state.symbols.forEach((symbol, index) => {
    const place = byId("cards").children[index]?.querySelector(".prices");
    if (place && prices[symbol.symbol]) drawPrices(place, symbol, prices[symbol.symbol]);
  });
}

/* Return the stretches of a path through the moments where a price is known; steps hold a price until the next one. */
function pathOf(ms, values, x, y, isStepped) {
  let [path, isDrawn] = ["", false];
  values.forEach((value, index) => {
    if (value === null) {
      isDrawn = false;
      return;
    }
    const [px, py] = [x(ms[index]).toFixed(1), y(value).toFixed(1)];
    path += isDrawn ? `${isStepped ? `H${px}V${py}` : `L${px} ${py}`}` : `M${px} ${py}`;
    isDrawn = true;
  });
  return path;
}

function drawPrices(place, symbol, columns) {
  const { ms } = columns;
  const known = [...columns.best_bid, ...columns.best_ask, ...columns.bid, ...columns.ask].filter((value) => value !== null);
  if (ms.length < 2 || known.length === 0 || place.clientWidth === 0) {
    place.replaceChildren(make("p", { class: "note" }, "Prices begin with the second look at the book."));
    return;
  }
  const [width, height, top, bottom] = [place.clientWidth, place.clientHeight, 14, 18];
  const [first, last] = [ms[0], ms.at(-1)];
  let [low, high] = [Math.min(...known), Math.max(...known)];
  if (low === high) [low, high] = [low * 0.9999, high * 1.0001];
  const x = (moment) => 2 + ((moment - first) / Math.max(1, last - first)) * (width - 10);
  const y = (price) => top + ((high - price) / (high - low)) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Prices of ${symbol.symbol} over the last minutes: the market, our quotes and fills` });
  const mids = columns.best_bid.map((bid, index) => (bid === null || columns.best_ask[index] === null ? null : (bid + columns.best_ask[index]) / 2));
  for (const side of ["best_bid", "best_ask"]) svg.append(draw("path", { class: "touch", d: pathOf(ms, columns[side], x, y, true) }));
  svg.append(draw("path", { class: "mid", d: pathOf(ms, mids, x, y, false) }));
  for (const side of ["bid", "ask"]) svg.append(draw("path", { class: `quote ${side}`, d: pathOf(ms, columns[side], x, y, true) }));
  for (const fill of lastFills) {
    if (fill.symbol !== symbol.symbol || fill.ts_ms < first || fill.ts_ms > last) continue;
    const [px, py, isBuy] = [x(fill.ts_ms), Math.min(height - bottom, Math.max(top, y(fill.price_value))), fill.side.startsWith("BUY")];
    const [tip, foot] = isBuy ? [py - 5, py + 4] : [py + 5, py - 4];
    const mark = draw("path", { class: isBuy ? "trade bought" : "trade sold", d: `M${px} ${tip}L${px + 5} ${foot}H${px - 5}Z` });
    mark.append(draw("title", {}, `${fill.time} UTC ${fill.side} ${fill.quantity} at ${fill.price}`));
    svg.append(mark);
  }
  svg.append(draw("text", { x: 2, y: 10 }, high.toFixed(symbol.price_decimals)));
  svg.append(draw("text", { x: 2, y: height - bottom + 14 }, low.toFixed(symbol.price_decimals)));
  svg.append(draw("text", { x: width - 4, y: height - 4, "text-anchor": "end" }, `${clockText(first, 0)} to ${clockText(last, 0)} UTC`));
  place.replaceChildren(svg);
  place.dataset.points = String(ms.length);
}

new ResizeObserver(() => {
  showCurve();
  showDayBars();
  showPrices();
}).observe(byId("chart"));
