/* Shows what the run sends: one element a figure, changed only where its text has changed. */

const labels = JSON.parse(document.getElementById("labels").textContent);
const byId = (id) => document.getElementById(id);
const MINOR = new Set(["fee", "position", "purpose"]);
const SIGNED = new Set(["trading_pnl", "today", "realized_pnl", "total_pnl", "average_pnl"]);
const KINDS = { quoting: "good", running: "good", completed: "good", paused: "warn", starting: "warn", waiting: "warn",
  interrupted: "warn", halted: "bad", failed: "bad" };
const SILENT_SECONDS = 5;

let state = null;
let curve = null;
let receivedAt = 0;
let lostAt = null;
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

function setKind(element, kind) {
  if (kind === undefined) delete element.dataset.kind;
  else element.dataset.kind = kind;
}

function setChip(element, text, kind) {
  setText(element, text);
  setKind(element, kind);
}

function figureTitle(label, figure) {
  return figure?.exact ? `${label.meaning}. Exactly: ${figure.exact}` : label.meaning;
}

function setFigure(element, label, figure) {
  const levels = figure ? [figure, ...(figure.outer ?? [])] : [];
  setText(element, levels.map((level) => level.text).join("\n") || "-");
  const title = figureTitle(label, figure);
  if (element.title !== title) element.title = title;
  if (SIGNED.has(label.key)) setGain(element, figure?.value);
}

function setGain(element, value) {
  element.classList.toggle("gain", value > 0);
  element.classList.toggle("loss", value < 0);
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
  showFeed(since);
  setText(byId("foot"), `Up ${lengthText(state.uptime_seconds + since)} since ${state.run.started}. Written to ${state.run.folder}.`);
}

function showFeed(since) {
  const chip = byId("feed");
  const ages = state.symbols.map((symbol) => symbol.feed_age_seconds).filter((age) => age !== null);
  const age = Math.min(...ages) + since;
  if (state.has_ended) setChip(chip, "feed closed");
  else if (lostAt !== null) setChip(chip, "feed unknown");
  else if (state.feed_connected === false) setChip(chip, "feed lost", "bad");
  else if (ages.length === 0) setChip(chip, "no data yet", "warn");
  else if (age > SILENT_SECONDS) setChip(chip, `feed silent ${Math.floor(age)} s`, "warn");
  else setChip(chip, "feed connected", "good");
}

// -- The run and its account -----------------------------------------------------------------------------

function showRun() {
  const { run } = state;
  const data = run.simulated_data ? "SIMULATED data" : "live market data";
  setText(byId("about"), `${run.venue}, ${run.feed} feed · ${data} · paper trading: simulated fills, no order leaves this machine · FEES ASSUMED: ${run.fees}`);
  byId("data-label").hidden = !run.simulated_data;
  const words = state.is_halted && !state.has_ended ? "halted" : state.status;
  setChip(byId("status"), words, KINDS[words]);
  byId("status").title = state.status_text;
  byId("ended").hidden = !state.has_ended;
  if (state.has_ended) {
    setText(byId("ended"), `This run has ended (${state.status}${state.status_text ? `: ${state.status_text}` : ""}). `
      + "The figures are its last ones; the page shows the next run on this port by itself.");
  }
  showCommands();
}

function showStates() {
  const list = byId("states");
  const wanted = state.symbols.map((symbol) => symbol.symbol).join(" ");
  if (list.dataset.symbols !== wanted) {
    list.dataset.symbols = wanted;
    list.replaceChildren(...state.symbols.map((symbol) => {
      const row = make("li", { "data-quoting": symbol.symbol });
      row.append(make("strong", {}, symbol.symbol), make("span", { class: "chip", "data-state": "" }), make("span", { class: "reason" }));
      return row;
    }));
  }
  state.symbols.forEach((symbol, index) => {
    const row = list.children[index];
    setKind(row, KINDS[symbol.state]);
    setChip(row.querySelector("[data-state]"), symbol.state, KINDS[symbol.state]);
    setText(row.querySelector(".reason"), stateText(symbol));
  });
}

function stateText(symbol) {
  const quotes = ["bid", "ask"].map((side) => [side, symbol.figures[side]]);
  const isQuoted = quotes.some(([, figure]) => figure.value !== null);
  const texts = quotes.map(([side, figure]) => `${side} ${figure.value === null ? figure.text : figure.price}`);
  if (symbol.state === "quoting") return texts.join(" · ");
  return [symbol.reason, ...(isQuoted && !state.has_ended ? [`still working: ${texts.join(" · ")}`] : [])].join(" · ");
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
  const bar = make("div", { class: "inventory" });
  bar.append(make("div", { class: "track" }), make("p", { class: "note" }));
  bar.firstChild.append(make("i", { class: "fill" }), make("i", { class: "zero" }));
  const table = make("table");
  const body = make("tbody");
  for (const label of labels.symbol) {
    const row = make("tr");
    row.append(make("th", { scope: "row", title: label.meaning }, label.text));
    row.append(make("td", { class: "number", "data-figure": label.key }, "-"));
    body.append(row);
  }
  const ageTitle = "Time since the feed's last event, s: as last published, and the time since then";
  const age = make("tr");
  age.append(make("th", { scope: "row", title: ageTitle }, "feed age"));
  age.append(make("td", { class: "number", "data-age": symbol.symbol, title: ageTitle }, "nothing yet"));
  body.append(age);
  table.append(body);
  card.append(make("h3", {}, symbol.symbol), bar, make("div", { class: "chart prices" }), table);
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
    showInventory(card.querySelector(".inventory"), symbol.figures);
    for (const label of labels.symbol) {
      setFigure(card.querySelector(`[data-figure="${label.key}"]`), label, symbol.figures[label.key]);
    }
  });
}

function showInventory(bar, { inventory, inventory_cap: cap }) {
  const track = bar.firstChild;
  if (!inventory || !cap?.value) {
    track.hidden = true;
    setText(bar.lastChild, "inventory: no cap known yet");
    return;
  }
  const share = inventory.value / cap.value;
  const width = 50 * Math.min(1, Math.abs(share));
  track.hidden = false;
  track.title = "Net position since the start as a share of its cap, short to the left, long to the right";
  track.firstChild.style.left = `${share < 0 ? 50 - width : 50}%`;
  track.firstChild.style.width = `${width}%`;
  setKind(track, Math.abs(share) >= 1 ? "warn" : undefined);
  const side = share > 0 ? "long" : share < 0 ? "short" : "flat";
  setText(bar.lastChild, `${side} ${inventory.text}, ${(100 * Math.abs(share)).toFixed(0)} % of the cap of ${cap.text}`);
}

// -- Fills, guards, log ----------------------------------------------------------------------------------

function showFills(fills) {
  lastFills = fills;
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
  showPrices();
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
