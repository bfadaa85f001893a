/* Shows what the run sends: one element a figure, changed only where its text has changed. */

const labels = JSON.parse(document.getElementById("labels").textContent);
const byId = (id) => document.getElementById(id);
const MINOR = new Set(["fee", "position", "purpose"]);
const KINDS = { quoting: "good", running: "good", completed: "good", paused: "warn", starting: "warn", waiting: "warn",
  interrupted: "warn", halted: "bad", failed: "bad" };

let state = null;
let curve = null;
let receivedAt = 0;
let shownLine = "equity";
let seenFills = null;

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function setChip(element, text, kind) {
  setText(element, text);
  if (kind === undefined) delete element.dataset.kind;
  else element.dataset.kind = kind;
}

function figureTitle(label, figure) {
  return figure?.exact ? `${label.meaning}. Exactly: ${figure.exact}` : label.meaning;
}

function setFigure(element, label, figure) {
  const levels = figure ? [figure, ...(figure.outer ?? [])] : [];
  setText(element, levels.map((level) => level.text).join("\n") || "-");
  const title = figureTitle(label, figure);
  if (element.title !== title) element.title = title;
}

// -- Lengths of time -------------------------------------------------------------------------------------

function lengthText(seconds) {
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const days = Math.floor(seconds / 86400);
  const clock = `${two((seconds % 86400) / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return days ? `${days} d ${clock}` : clock;
}

function tick() {
  if (state === null) return;
  const since = state.has_ended ? 0 : (performance.now() - receivedAt) / 1000;
  for (const symbol of state.symbols) {
    const cell = document.querySelector(`[data-age="${CSS.escape(symbol.symbol)}"]`);
    const age = symbol.feed_age_seconds;
    if (cell) setText(cell, age === null ? "nothing yet" : `at most ${(age + since).toFixed(1)} s`);
  }
  setText(byId("foot"), `Up ${lengthText(state.uptime_seconds + since)} since ${state.run.started}. Written to ${state.run.folder}.`);
}

// -- The run and its account -----------------------------------------------------------------------------

function showRun() {
  const { run } = state;
  const data = run.simulated_data ? "SIMULATED data" : "live market data";
  setText(byId("about"), `${run.venue}, ${run.feed} feed · ${data} · paper trading: simulated fills, no order leaves this machine · FEES ASSUMED: ${run.fees}`);
  byId("data-label").hidden = !run.simulated_data;
  setChip(byId("status"), state.is_halted && !state.has_ended ? "halted" : state.status,
    KINDS[state.is_halted && !state.has_ended ? "halted" : state.status]);
  byId("status").title = state.status_text;
  byId("ended").hidden = !state.has_ended;
  if (state.has_ended) {
    setText(byId("ended"), `This run has ended (${state.status}${state.status_text ? `: ${state.status_text}` : ""}). `
      + "The figures are its last ones; the page shows the next run on this port by itself.");
  }
  const halt = byId("halt");
  if (halt) halt.disabled = state.has_ended;
}

function showAccount() {
  const list = byId("account");
  if (list.childElementCount === 0) {
    for (const label of labels.account) {
      const tile = make("div", { class: "tile" });
      tile.append(make("dt", { title: label.meaning }, label.text), make("dd", { "data-account": label.key }, "-"));
      list.append(tile);
    }
  }
  for (const label of labels.account) {
    setFigure(list.querySelector(`[data-account="${label.key}"]`), label, state.account.figures[label.key]);
  }
}

// -- Symbols ---------------------------------------------------------------------------------------------

function makeCard(symbol) {
  const card = make("article", { class: "card", "data-symbol": symbol.symbol });
  const head = make("header");
  head.append(make("h3", {}, symbol.symbol), make("span", { class: "chip", "data-state": "" }));
  const table = make("table");
  const body = make("tbody");
  for (const label of labels.symbol) {
    const row = make("tr");
    row.append(make("th", { scope: "row", title: label.meaning }, label.text));
    row.append(make("td", { class: "number", "data-figure": label.key }, "-"));
    body.append(row);
  }
  const ageTitle = "Time since the feed's last event, s: as published with the last metrics, and the time since then";
  const age = make("tr");
  age.append(make("th", { scope: "row", title: ageTitle }, "feed age"));
  age.append(make("td", { class: "number", "data-age": symbol.symbol, title: ageTitle }, "nothing yet"));
  body.append(age);
  table.append(body);
  card.append(head, make("p", { class: "reason" }), table);
  return card;
}

function showSymbols() {
  const cards = byId("cards");
  const wanted = state.symbols.map((symbol) => symbol.symbol).join(" ");
  if (cards.dataset.symbols !== wanted) {
    cards.replaceChildren(...state.symbols.map(makeCard));
    cards.dataset.symbols = wanted;
  }
  state.symbols.forEach((symbol, index) => {
    const card = cards.children[index];
    setChip(card.querySelector("[data-state]"), symbol.state, KINDS[symbol.state]);
    setText(card.querySelector(".reason"), symbol.reason);
    for (const label of labels.symbol) {
      setFigure(card.querySelector(`[data-figure="${label.key}"]`), label, symbol.figures[label.key]);
    }
  });
}

// -- Fills, guards, log ----------------------------------------------------------------------------------

function showFills(fills) {
  const heads = byId("fill-heads");
  if (heads.childElementCount === 0) {
    heads.append(...labels.fill.map((label) => make("th", { title: label.meaning, class: fillClass(label.key) }, label.text)));
  }
  const rows = fills.map((fill) => {
    const key = `${fill.id} ${fill.ts_ms} ${fill.quantity} ${fill.position}`;
    const row = make("tr", seenFills !== null && !seenFills.has(key) ? { "data-new": "" } : {});
    row.dataset.key = key;
    for (const label of labels.fill) {
      const cell = make("td", { class: fillClass(label.key), "data-key": label.key, title: label.meaning }, fill[label.key]);
      if (label.key === "side") cell.classList.add(fill.side.startsWith("BUY") ? "buy" : "sell");
      row.append(cell);
    }
    return row;
  });
  if (rows.length === 0) {
    const row = make("tr");
    row.append(make("td", { colspan: String(labels.fill.length) }, "no fills in this run yet"));
    rows.push(row);
  }
  seenFills = new Set(rows.map((row) => row.dataset.key));
  byId("fill-rows").replaceChildren(...rows);
}

function fillClass(key) {
  const kind = ["price", "quantity", "fee", "pnl", "position"].includes(key) ? "number" : "";
  return `${kind} ${MINOR.has(key) ? "minor" : ""}`.trim();
}

function showGuards() {
  const items = state.guards.map((guard) => {
    const item = make("li", {}, "");
    const chip = make("span", { class: "chip" });
    setChip(chip, guard.state, KINDS[guard.state]);
    item.append(`${guard.time} UTC  ${guard.symbol} `, chip, ` ${guard.text}`);
    return item;
  });
  const list = byId("guard-list");
  const key = state.guards.map((guard) => `${guard.ts_ms} ${guard.symbol} ${guard.text}`).join("|");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...(items.length ? items : [make("li", {}, "No guard has changed anything in this run.")]));
}

function showLog(lines) {
  const log = byId("log");
  const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  setText(log, lines.join("\n"));
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

// -- The line --------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

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
  const sign = value < 0 && Number(digits) ? "-" : signed ? "+" : "";
  return curve.is_dollar ? `${sign}$${digits}` : `${sign}${digits} ${curve.currency}`;
}

function clockText(ms, span) {
  const text = new Date(ms).toISOString();
  return span > 86400000 ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(11, 19);
}

function showCurve() {
  const place = byId("chart");
  if (curve === null || place.clientWidth === 0) return;
  const { ms, value } = curve[shownLine];
  if (ms.length < 2) {
    place.replaceChildren(make("p", { class: "note" }, "The line begins with the second figures of the account."));
    return;
  }
  const [width, height, left, bottom, top] = [place.clientWidth, place.clientHeight, 76, 20, 8];
  const [first, last] = [ms[0], ms.at(-1)];
  let [low, high] = [Math.min(...value), Math.max(...value)];
  if (high - low < 0.02) [low, high] = [low - 0.01, high + 0.01];
  const x = (moment) => left + ((moment - first) / Math.max(1, last - first)) * (width - left - 4);
  const y = (amount) => top + ((high - amount) / (high - low)) * (height - top - bottom);
  const path = ms.map((moment, index) => `${x(moment).toFixed(1)} ${y(value[index]).toFixed(1)}`).join(" L ");
  const name = shownLine === "equity" ? "Equity" : "Trading PnL";
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${name} over time, from ${moneyText(value[0])} to ${moneyText(value.at(-1))}` });
  for (const amount of [high, (high + low) / 2, low]) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - 4, y1: y(amount), y2: y(amount) }));
    svg.append(draw("text", { x: left - 6, y: y(amount) + 4, "text-anchor": "end" }, moneyText(amount, shownLine !== "equity")));
  }
  svg.append(draw("text", { x: left, y: height - 4 }, `${clockText(first, last - first)} UTC`));
  svg.append(draw("text", { x: width - 4, y: height - 4, "text-anchor": "end" }, `${clockText(last, last - first)} UTC`));
  svg.append(draw("path", { class: "area", d: `M ${x(first)} ${y(low)} L ${path} L ${x(last)} ${y(low)} Z` }));
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
  showCurve();
}));
new ResizeObserver(showCurve).observe(byId("chart"));

// -- The connection --------------------------------------------------------------------------------------

function setConnection(isUp) {
  const hasEnded = state?.has_ended ?? false;
  const words = isUp ? "live" : hasEnded ? "run ended, waiting for the next" : "connection lost, reconnecting";
  setChip(byId("connection"), words, isUp ? "good" : hasEnded ? "warn" : "bad");
  if (isUp) delete document.body.dataset.lost;
  else document.body.dataset.lost = "";
}

async function connectAgain() {
  try {
    const response = await fetch("api/state");
    if (response.status === 401) {
      window.location.reload(); // the token has changed: sign in again
      return;
    }
    connect();
  } catch {
    setTimeout(connectAgain, 2000);
  }
}

function connect() {
  const events = new EventSource("events");
  const on = (name, show) => events.addEventListener(name, (event) => show(JSON.parse(event.data)));
  on("state", (document_) => {
    if (state !== null && state.run.id !== document_.run.id) seenFills = null;
    [state, receivedAt] = [document_, performance.now()];
    setConnection(!state.has_ended);
    showRun();
    showAccount();
    showSymbols();
    showGuards();
    tick();
    document.documentElement.dataset.run = state.run.id;
    document.documentElement.dataset.ready = "true";
  });
  on("fills", showFills);
  on("log", showLog);
  on("curve", (document_) => {
    curve = document_;
    showCurve();
  });
  events.addEventListener("error", () => {
    setConnection(false);
    if (events.readyState === EventSource.CLOSED) setTimeout(connectAgain, 2000);
  });
}

// -- The kill switch -------------------------------------------------------------------------------------

const haltButton = byId("halt");
if (haltButton) {
  const [dialog, answer, confirm] = [byId("halt-dialog"), byId("halt-answer"), byId("halt-confirm")];
  haltButton.addEventListener("click", () => {
    setText(answer, "");
    confirm.disabled = false;
    dialog.showModal();
  });
  byId("halt-cancel").addEventListener("click", () => dialog.close());
  confirm.addEventListener("click", async () => {
    const flatten = document.querySelector('[name="flatten"]:checked').value === "flatten";
    confirm.disabled = true;
    setText(answer, "asking for the halt...");
    try {
      const response = await fetch("api/halt", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ flatten }),
      });
      if (response.ok) dialog.close();
      else setText(answer, `Not halted: ${await response.text()}`);
    } catch {
      setText(answer, "Not halted: the run does not answer.");
    }
    confirm.disabled = false;
  });
}

setInterval(tick, 200);
connect();
