
/* The fills that the page carries: their figures in words, and the tables of fills and trades, whose rows are made as they
   are asked for. */

const MISSING = -(2 ** 31);
const ROWS_AT_ONCE = 100;
const FEWEST_ROWS = 10;
const MOST_DIGITS = 8;

async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const columns = {};
  let offset = 0;
  for (const { name, unit, rows, is_whole: isWhole } of packed.columns) {
    const values = new Float64Array(rows);
    if (isWhole) {
      const [lowest, low, high, highest] = [0, 1, 2, 3].map((part) => new Uint8Array(buffer, offset + part * rows, rows));
      let sum = 0;
      for (let row = 0; row < rows; row += 1) {
        const step = lowest[row] | (low[row] << 8) | (high[row] << 16) | (highest[row] << 24);
        sum = (sum + ((step >>> 1) ^ -(step & 1))) | 0;
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

// -- Figures in words ------------------------------------------------------------------------------------

const NONE = "-";
const formats = new Map();

/* A number with so many decimal places, at most `most` where that is given. */
function decimal(value, least, most = least) {
  const key = 32 * least + most;
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat("en-US", { minimumFractionDigits: least, maximumFractionDigits: most }));
  }
  const text = formats.get(key).format(value);
  return /[1-9]/.test(text) ? text : text.replace("-", "");
}

const signed = (text) => (text.startsWith("-") ? text : `+${text}`);
const money = (text, currency, isDollar) => (isDollar ? text.replace(/^[+-]?/, "$&$$") : `${text} ${currency}`);

function readable(value, digits) {
  const text = decimal(value, digits);
  if (value === 0 || /[1-9]/.test(text)) return text;
  return decimal(value, Math.max(digits, Math.min(MOST_DIGITS, 1 - Math.floor(Math.log10(Math.abs(value))))));
}

const bps = (value) => (Number.isNaN(value) ? NONE : signed(decimal(value, 2)));
let isOfOneDay = false;

/* The time of a moment, with its date where the page has fills, or positions opened, of several days; UTC. */
const clock = (ms) => new Date(ms).toISOString().slice(isOfOneDay ? 11 : 5, 19).replace("T", " ");

function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${decimal(seconds, 1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${decimal(seconds / 3600, 1)} h`;
}

/* One symbol's fills: columns by name, a row each. */
class FillBook {
  constructor(data, columns) {
    Object.assign(this, data, columns);
    this.length = this.t.length;
  }

  time(row) { return this.start_ms + this.t[row]; }

  priceText(value, digits) {
    return Number.isNaN(value) ? NONE : decimal(value, this.decimals - 1, Math.max(digits, this.decimals - 1));
  }

  /* An amount of a column with the digits that are read there; one that would read as 0 has two significant ones. */
  amountText(value, key, write = signed) {
    if (Number.isNaN(value)) return NONE;
    return money(write(readable(value, this.shown_digits[key])), this.quote, this.is_dollar);
  }

  /* An amount with all its digits, for example +$0.00300692 or -0.00000037 BTC. */
  exactText(value, write = signed) {
    if (Number.isNaN(value)) return NONE;
    return money(write(decimal(value, value === 0 ? 0 : this.digits)), this.quote, this.is_dollar);
  }

  /* Amounts add up in whole units, so that their sum has no binary rounding. */
  sum(rows, column) {
    const unit = 10 ** this.digits;
    return rows.reduce((total, row) => total + Math.round(column[row] * unit), 0) / unit;
  }

  reason(row) { return this.purposes[this.purpose[row]]; }

  isTrade(row) { return !Number.isNaN(this.pnl[row]); }

  words(row) {
    const done = this.is_buy[row] ? "bought" : "sold";
    const parts = [`${done} ${decimal(this.quantity[row], 0, 8)} ${this.base} at ${this.priceText(this.price[row], 0)} ${this.quote}`];
    if (!Number.isNaN(this.mid[row])) parts[0] += ` (mid ${this.priceText(this.mid[row], this.decimals)})`;
    if (!Number.isNaN(this.spread[row])) parts.push(`spread captured ${bps(this.spread[row])} bps`);
    const later = this.mark_out[row];
    if (!Number.isNaN(this.spread[row])) {
      parts.push(`mark-out after ${this.mark_out_seconds} s ${Number.isNaN(later) ? "not known" : `${bps(later)} bps`}`);
    }
    parts.push(`fee ${this.amountText(this.fee[row], "fee", String)}`, this.is_maker[row] ? "made liquidity" : "took liquidity");
    parts.push(this.reason(row));
    if (!this.isTrade(row)) return parts.join(", ");
    const held = this.is_buy[row] ? "short" : "long";
    const closed = `closed ${decimal(this.closed[row], 0, 8)} ${this.base} of a ${held} position`;
    return `${parts.join(", ")}; ${closed}: PnL ${this.amountText(this.pnl[row], "pnl")}`;
  }
}

const books = new Map();

// -- Tables ----------------------------------------------------------------------------------------------

/* Columns: name, value to sort by, text, and whether it is a number or money made or lost. */
const shared = {
  symbol: { name: "symbol", value: ({ book }) => book.symbol, text: ({ book }) => book.symbol },
  quantity: (name, key) => ({
    name, isNumber: true, isBySymbol: true, value: ({ book, row }) => book[key][row], text: ({ book, row }) => `${decimal(book[key][row], 0, 8)} ${book.base}`,
  }),
  reason: { name: "reason", value: ({ book, row }) => book.reason(row), text: ({ book, row }) => book.reason(row) },
  price: (name, key, extra = 0) => ({
    name, isNumber: true, isBySymbol: true, value: ({ book, row }) => book[key][row],
    text: ({ book, row }) => book.priceText(book[key][row], book.decimals - 1 + extra),
  }),
  bps: (name, key) => ({
    name, isNumber: true, isResult: true, value: ({ book, row }) => book[key][row], text: ({ book, row }) => bps(book[key][row]),
  }),
  // Amounts of two currencies are compared at the run's last mids.
  amount: (name, key, write) => ({
    name, isNumber: true, isResult: write === undefined, value: ({ book, row }) => book[key][row] * (book.rate ?? 1),
    text: ({ book, row }) => book.amountText(book[key][row], key, write), exact: ({ book, row }) => book.exactText(book[key][row], write),
  }),
};
const time = (name) => ({ name, value: ({ book, row }) => book.time(row), text: ({ book, row }) => clock(book.time(row)) });
const COLUMNS = {
  fills: [
    time("time, UTC"),
    { name: "side", value: ({ book, row }) => book.is_buy[row], text: ({ book, row }) => (book.is_buy[row] ? "buy" : "sell"), kind: ({ book, row }) => (book.is_buy[row] ? "buy" : "sell") },
    shared.price("price", "price"), shared.bps("mark-out, bps", "mark_out"), shared.amount("PnL", "pnl"), shared.symbol,
    shared.quantity("quantity", "quantity"), shared.bps("spread captured, bps", "spread"), shared.price("mid", "mid", 1),
    { name: "liquidity", value: ({ book, row }) => book.is_maker[row], text: ({ book, row }) => (book.is_maker[row] ? "maker" : "taker") },
    shared.reason, shared.amount("fee", "fee", String),
  ],
  trades: [
    time("closed, UTC"),
    { name: "side", value: ({ book, row }) => book.is_buy[row], text: ({ book, row }) => (book.is_buy[row] ? "short" : "long"), kind: ({ book, row }) => (book.is_buy[row] ? "sell" : "buy") },
    shared.amount("PnL", "pnl"), shared.bps("move, bps", "move"), shared.symbol, shared.reason,
    shared.price("entry price", "entry", 2), shared.price("exit price", "price"), shared.quantity("quantity", "closed"),
    {
      name: "opened, UTC", value: ({ book, row }) => book.opened[row],
      text: ({ book, row }) => (Number.isNaN(book.opened[row]) ? NONE : clock(book.start_ms + book.opened[row])),
    },
    {
      name: "held for", isNumber: true, value: ({ book, row }) => book.t[row] - book.opened[row],
      text: ({ book, row }) => (Number.isNaN(book.opened[row]) ? NONE : duration(book.t[row] - book.opened[row])),
    },
  ],
};

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

class RowTable {
  constructor(element, rows, columns, sorted, isAscending) {
    Object.assign(this, { element, rows, sorted, isAscending, wanted: new Map(), shown: FEWEST_ROWS });
    const isOf = (column) => new Set(rows.map(column.value)).size > 1;
    this.columns = columns.filter((column) => column.name !== "symbol" || isOf(column));
    this.status = make("p", { className: "note" });
    this.status.setAttribute("role", "status");
    this.body = make("tbody");
    this.more = make("button", { type: "button", className: "more" });
    this.more.addEventListener("click", () => this.showMore());
    const table = make("table", { className: "sortable" }, make("thead", {}, make("tr", {}, ...this.columns.map((column) => this.header(column)))), this.body);
    const filters = make("div", { className: "tabs" }, ...["symbol", "reason"].map((name) => shared[name]).filter(isOf).map((column) => this.filter(column)));
    element.append(filters, this.status, make("div", { className: "wide" }, table), this.more);
    this.draw();
  }

  header(column) {
    const button = make("button", { type: "button", textContent: column.name });
    const cell = make("th", { scope: "col", className: column.isNumber ? "number" : "" }, button);
    cell.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      this.isAscending = this.sorted === column.name ? !this.isAscending : true;
      this.sorted = column.name;
      this.draw();
    });
    column.cells = (column.cells ?? new Map()).set(this, cell);
    return cell;
  }

  filter(column) {
    const select = make("select", {}, make("option", { value: "", textContent: "all" }));
    for (const value of [...new Set(this.rows.map(column.value))].sort()) select.append(make("option", { value, textContent: value }));
    select.addEventListener("change", () => this.only(column.name, select.value));
    select.dataset.filter = column.name;
    return make("label", {}, `${column.name} `, select);
  }

  /* Show only rows with a value of a column, an empty one for all. */
  only(name, value) {
    this.wanted.set(name, value);
    const select = this.element.querySelector(`[data-filter="${name}"]`);
    if (select) select.value = value;
    this.shown = FEWEST_ROWS;
    this.draw();
  }

  draw() {
    const { value, isBySymbol } = this.columns.find(({ name }) => name === this.sorted);
    const direction = this.isAscending ? 1 : -1;
    const filters = [...this.wanted].filter(([, wanted]) => wanted).map(([name, wanted]) => (entry) => shared[name].value(entry) === wanted);
    const keyed = this.rows.filter((entry) => filters.every((fits) => fits(entry))).map((entry) => [value(entry), entry]);
    const isKnown = ([key]) => !Number.isNaN(key); // what is not known comes last in both directions
    const order = (a, b) => (a < b ? -1 : Number(a > b));
    // Prices and quantities of two symbols are not compared.
    const symbols = ([, a], [, b]) => (isBySymbol ? order(a.book.symbol, b.book.symbol) : 0);
    const known = keyed.filter(isKnown).sort((a, b) => symbols(a, b) || direction * order(a[0], b[0]));
    this.found = [...known, ...keyed.filter((entry) => !isKnown(entry))].map(([, entry]) => entry);
    for (const column of this.columns) {
      const sort = this.isAscending ? "ascending" : "descending";
      column.cells.get(this).setAttribute("aria-sort", column.name === this.sorted ? sort : "none");
    }
    this.status.replaceChildren(...this.words());
    this.body.replaceChildren();
    this.fill(0);
  }

  showMore() {
    const before = this.shown;
    this.shown += ROWS_AT_ONCE;
    this.fill(before);
  }

  fill(from) {
    this.body.append(...this.found.slice(from, this.shown).map((entry) => this.line(entry)));
    const left = this.found.length - this.shown;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more`;
  }

  line(entry) {
    const [first, ...others] = this.columns;
    const canShow = typeof showFill === "function" && document.querySelector("[data-view]") !== null;
    const name = canShow ? make("button", { type: "button", className: "plain", textContent: first.text(entry), title: "Show it in the market chart" }) : first.text(entry);
    const line = make("tr", {}, make("th", { scope: "row" }, name), ...others.map((column) => this.cell(column, entry)));
    if (canShow) {
      line.className = "shows";
      line.addEventListener("click", () => showFill(entry.book.symbol, entry.row));
    }
    return line;
  }

  cell(column, entry) {
    const value = column.isResult ? column.value(entry) : 0;
    const sign = value > 0 ? "gain" : value < 0 ? "loss" : "";
    return make("td", { className: [column.isNumber ? "number" : "short", sign, column.kind?.(entry) ?? ""].join(" ").trim(), textContent: column.text(entry), title: column.exact?.(entry) ?? "" });
  }

  /* How many there are, what they made, each currency apart and all in the report currency, and their order. */
  words() {
    const parts = [`${this.found.length.toLocaleString("en-US")} of ${this.rows.length.toLocaleString("en-US")}`];
    const trades = this.found.filter(({ book, row }) => book.isTrade(row));
    const byCurrency = Map.groupBy(trades, ({ book }) => book.quote);
    for (const [currency, held] of byCurrency) {
      const widest = held.map(({ book }) => book).reduce((a, b) => (b.digits > a.digits ? b : a));
      const sum = widest.sum(held.map((_, index) => index), held.map(({ book, row }) => book.pnl[row]));
      const text = make("span", { textContent: widest.amountText(sum, "pnl"), title: widest.exactText(sum) });
      parts.push(` · PnL in ${currency}, net of fees: `, text, ` (${held.filter(({ book, row }) => book.pnl[row] > 0).length} won, ${held.filter(({ book, row }) => book.pnl[row] < 0).length} lost)`);
    }
    const { report_currency: report, is_report_dollar: isDollar } = this.rows[0].book;
    const isConverted = this.rows.some(({ book }) => book.quote !== report);
    if (isConverted && trades.length && trades.every(({ book }) => book.rate !== null)) {
      const total = trades.reduce((sum, { book, row }) => sum + book.pnl[row] * book.rate, 0);
      parts.push(` · in all ${money(signed(readable(total, isDollar ? 2 : MOST_DIGITS)), report, isDollar)} at the run's last mids`);
    }
    if (this.sorted === "PnL") {
      const value = isConverted ? ` by value in ${report} at the run's last mids` : "";
      parts.push(` · the ${this.isAscending ? "worst" : "best"} first${value}`);
    } else if (this.sorted === "fee" && isConverted) parts.push(` · by value in ${report} at the run's last mids`);
    return parts;
  }
}

const tables = {};

async function makeTables() {
  if (!document.getElementById("fill-data")) return; // a run that ended before its strategy had begun
  for (const data of read("fill-data")) books.set(data.symbol, new FillBook(data, await unpack(data.fills)));
  const rows = [...books.values()].flatMap((book) => Array.from({ length: book.length }, (_, row) => ({ book, row })));
  rows.sort((a, b) => a.book.time(a.row) - b.book.time(b.row));
  const day = (ms) => Math.floor(ms / 86_400e3);
  const opened = ({ book, row }) => book.start_ms + (Number.isNaN(book.opened[row]) ? book.t[row] : book.opened[row]);
  const last = rows.length ? day(rows.at(-1).book.time(rows.at(-1).row)) : 0;
  isOfOneDay = rows.every((entry) => day(opened(entry)) === last);
  const found = { fills: rows, trades: rows.filter(({ book, row }) => book.isTrade(row)) };
  for (const element of document.querySelectorAll("[data-rows-of]")) {
    const name = element.dataset.rowsOf;
    if (found[name].length) tables[name] = new RowTable(element, found[name], COLUMNS[name], name === "trades" ? "PnL" : "time, UTC", true);
  }
  for (const button of document.querySelectorAll("[data-reason]")) {
    button.addEventListener("click", () => {
      tables.trades?.only("reason", button.dataset.reason);
      document.getElementById("trades").scrollIntoView({ block: "start" });
    });
  }
}

additions.push(makeTables);
