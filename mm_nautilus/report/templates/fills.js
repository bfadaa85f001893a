
/* The fills that the page carries: their figures in words, and the tables of fills and trades, whose rows are made as they
   are asked for. */

const MISSING = -(2 ** 31);
const ROWS_AT_ONCE = 100;
const FEWEST_ROWS = 10;

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

  /* An amount with all its digits, for example +$0.00300692 or -0.00000037 BTC. */
  amountText(value, write = signed) {
    if (Number.isNaN(value)) return NONE;
    const text = write(decimal(value, value === 0 ? 0 : this.digits));
    return this.is_dollar ? text.replace(/^[+-]?/, "$&$$") : `${text} ${this.quote}`;
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
    parts.push(`fee ${this.amountText(this.fee[row], String)}`, this.is_maker[row] ? "made liquidity" : "took liquidity");
    parts.push(this.reason(row));
    if (!this.isTrade(row)) return parts.join(", ");
    const held = this.is_buy[row] ? "short" : "long";
    const closed = `closed ${decimal(this.closed[row], 0, 8)} ${this.base} of a ${held} position`;
    return `${parts.join(", ")}; ${closed}: PnL ${this.amountText(this.pnl[row])}`;
  }
}

const books = new Map();

// -- Tables ----------------------------------------------------------------------------------------------

/* Columns: name, value to sort by, text, and whether it is a number or money made or lost. */
const shared = {
  symbol: { name: "symbol", value: ({ book }) => book.symbol, text: ({ book }) => book.symbol },
  quantity: (name, key) => ({
    name, isNumber: true, value: ({ book, row }) => book[key][row], text: ({ book, row }) => `${decimal(book[key][row], 0, 8)} ${book.base}`,
  }),
  reason: { name: "reason", value: ({ book, row }) => book.reason(row), text: ({ book, row }) => book.reason(row) },
  price: (name, key, extra = 0) => ({
    name, isNumber: true, value: ({ book, row }) => book[key][row],
    text: ({ book, row }) => book.priceText(book[key][row], book.decimals - 1 + extra),
  }),
  bps: (name, key) => ({
    name, isNumber: true, isResult: true, value: ({ book, row }) => book[key][row], text: ({ book, row }) => bps(book[key][row]),
  }),
  // Amounts of two currencies are compared at the run's last mids.
  amount: (name, key, write) => ({
    name, isNumber: true, isResult: write === undefined, value: ({ book, row }) => book[key][row] * (book.rate ?? 1),
    text: ({ book, row }) => book.amountText(book[key][row], write),
  }),
};
const time = (name) => ({ name, value: ({ book, row }) => book.time(row), text: ({ book, row }) => clock(book.time(row)) });
const COLUMNS = {
  fills: [
    time("time, UTC"), shared.symbol,
    { name: "side", value: ({ book, row }) => book.is_buy[row], text: ({ book, row }) => (book.is_buy[row] ? "buy" : "sell"), kind: ({ book, row }) => (book.is_buy[row] ? "buy" : "sell") },
    shared.price("price", "price"), shared.quantity("quantity", "quantity"),
    shared.bps("spread captured, bps", "spread"), shared.bps("mark-out, bps", "mark_out"), shared.price("mid", "mid", 1),
    { name: "liquidity", value: ({ book, row }) => book.is_maker[row], text: ({ book, row }) => (book.is_maker[row] ? "maker" : "taker") },
    shared.reason, shared.amount("fee", "fee", String), shared.amount("PnL", "pnl"),
  ],
  trades: [
    time("closed, UTC"), shared.symbol,
    { name: "side", value: ({ book, row }) => book.is_buy[row], text: ({ book, row }) => (book.is_buy[row] ? "short" : "long"), kind: ({ book, row }) => (book.is_buy[row] ? "sell" : "buy") },
    shared.amount("PnL", "pnl"), shared.bps("move, bps", "move"), shared.reason,
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
    const { value } = this.columns.find(({ name }) => name === this.sorted);
    const direction = this.isAscending ? 1 : -1;
    const filters = [...this.wanted].filter(([, wanted]) => wanted).map(([name, wanted]) => (entry) => shared[name].value(entry) === wanted);
    const keyed = this.rows.filter((entry) => filters.every((fits) => fits(entry))).map((entry) => [value(entry), entry]);
    const isKnown = ([key]) => !Number.isNaN(key); // what is not known comes last in both directions
    const known = keyed.filter(isKnown).sort(([a], [b]) => direction * (a < b ? -1 : Number(a > b)));
    this.found = [...known, ...keyed.filter((entry) => !isKnown(entry))].map(([, entry]) => entry);
    for (const column of this.columns) {
      const order = this.isAscending ? "ascending" : "descending";
      column.cells.get(this).setAttribute("aria-sort", column.name === this.sorted ? order : "none");
    }
    this.status.textContent = this.words();
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
    return make("td", { className: [column.isNumber ? "number" : "short", sign, column.kind?.(entry) ?? ""].join(" ").trim(), textContent: column.text(entry) });
  }

  /* How many there are and what they made, each currency apart. */
  words() {
    const parts = [`${this.found.length.toLocaleString("en-US")} of ${this.rows.length.toLocaleString("en-US")}`];
    for (const [currency, held] of Map.groupBy(this.found.filter(({ book, row }) => book.isTrade(row)), ({ book }) => book.quote)) {
      const digits = Math.max(...held.map(({ book }) => book.digits));
      const widest = held.find(({ book }) => book.digits === digits).book;
      const sum = widest.sum(held.map((_, index) => index), held.map(({ book, row }) => book.pnl[row]));
      parts.push(`PnL in ${currency}, net of fees: ${widest.amountText(sum)} (${held.filter(({ book, row }) => book.pnl[row] > 0).length} won, ${held.filter(({ book, row }) => book.pnl[row] < 0).length} lost)`);
    }
    return parts.join(" · ");
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
