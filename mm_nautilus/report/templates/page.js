"use strict";
/* Draws the figures that the page carries as data, in light or dark. Colours that begin with @ are names of the palettes
   below. */

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
  displaylogo: false, responsive: true, plotlyServerURL: "", doubleClick: "autosize",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
};

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
    if (element.checkVisibility()) draws.push(draw(element, entry.figure));
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
const LONGEST_OF_TWO = 21; // letters of a legend's entry that leave room for another beside it

function fitted({ data, layout }, element) {
  if (isPrinting) {
    return { data, layout: { ...layout, autosize: false, width: SHEET_PIXELS, height: SHEET_SHARE * layout.height } };
  }
  const made = { ...layout, autosize: true, width: undefined };
  if (element.clientWidth >= NARROW_PIXELS) return { data, layout: made };
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
  const displayModeBar = element.clientWidth >= NARROW_PIXELS ? "hover" : false; // a narrow title has no room beside it
  await Plotly.react(element, data, { ...layout, uirevision: "kept" }, { ...CONFIG, displayModeBar });
  for (const button of element.querySelectorAll(".modebar-btn")) button.tabIndex = -1;
  element.dataset.drawn = String(Number(element.dataset.drawn ?? 0) + 1);
}

// -- The page --------------------------------------------------------------------------------------------

/* What the scripts after this one add: functions that have to be done before the page is ready. */
const additions = [];

function listen() {
  document.getElementById("theme").addEventListener("click", () => {
    chosenTheme = theme() === "dark" ? "light" : "dark";
    redrawAll();
  });
  prefersDark.addEventListener("change", () => chosenTheme ?? redrawAll());
  window.addEventListener("beforeprint", () => setPaper(true));
  window.addEventListener("afterprint", () => setPaper(false));
}

// -- Folded sections and figures with several views ------------------------------------------------------

/* Draw a figure of the page unless it is folded, in which case it is drawn when it is unfolded. */
async function drawFigure(element) {
  if (!element.checkVisibility()) return;
  const known = drawn.get(element);
  if (known === undefined) await draw(element, inView(read(element.dataset.figureData), element.dataset.shown));
  else if (known.isStale) await draw(element, known.figure);
}

/* Return the part of a figure that one of its buttons asks for; the first is shown at first. */
function inView(figure, view) {
  if (!figure.views) return figure;
  const shown = view ?? Object.keys(figure.views)[0];
  const annotations = figure.layout.annotations.map((note, index) => (index === 0 ? { ...note, text: figure.views[shown] } : note));
  const data = figure.data.filter((trace) => trace.meta.view === shown);
  return { data, layout: { ...figure.layout, annotations } };
}

function unfold(target) {
  for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  const folded = target?.querySelector(":scope > details.folded");
  if (folded) folded.open = true;
}

function listenToFolds() {
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => {
      if (details.open) for (const element of details.querySelectorAll("[data-figure-data]")) drawFigure(element);
    });
  }
  for (const link of document.querySelectorAll('nav a[href^="#"]')) {
    link.addEventListener("click", () => unfold(document.getElementById(link.hash.slice(1))));
  }
  for (const button of document.querySelectorAll("[data-view-of]")) {
    button.addEventListener("click", async () => {
      const element = document.getElementById(button.dataset.viewOf);
      for (const other of document.querySelectorAll(`[data-view-of="${element.id}"]`)) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      await draw(element, inView(read(element.dataset.figureData), button.dataset.show));
      element.dataset.shown = button.dataset.show;
    });
  }
}

async function main() {
  applyTheme();
  listen();
  listenToFolds();
  if (location.hash) unfold(document.getElementById(location.hash.slice(1)));
  for (const element of document.querySelectorAll("[data-figure-data]")) await drawFigure(element);
  for (const add of additions) await add();
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView(); // what is above has its height now
  document.documentElement.dataset.ready = "true";
}

document.addEventListener("DOMContentLoaded", main);
