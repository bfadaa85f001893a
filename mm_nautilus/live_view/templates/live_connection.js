/* Listens to the run, and works its kill switch. */

function setConnection(isUp) {
  const hasEnded = state?.has_ended ?? false;
  const words = isUp ? "connected" : hasEnded ? "run ended, waiting for the next" : "connection lost, reconnecting";
  setChip(byId("connection"), words, isUp ? "good" : hasEnded ? "warn" : "bad");
  const isLost = !isUp && !hasEnded;
  lostAt = isLost ? (lostAt ?? new Date()) : null;
  byId("lost").hidden = !isLost;
  if (isLost) setChip(byId("status"), "run unknown");
  if (isLost) setText(byId("lost"), `No connection to the run since ${lostAt.toISOString().slice(11, 19)} UTC: whether it still quotes is not known, and the figures are those of then.`);
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
  on("prices", beginPrices);
  on("state", (document_) => {
    if (state !== null && state.run.id !== document_.run.id) seenFills = null;
    [state, receivedAt] = [document_, performance.now()];
    setConnection(!state.has_ended);
    showStates();
    showRun();
    showAccount();
    showSymbols();
    showGuards();
    addPrices();
    tick();
    document.documentElement.dataset.run = state.run.id;
    document.documentElement.dataset.ready = "true";
  });
  on("fills", showFills);
  on("days", showDays);
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

function haltedSymbols() {
  return state.symbols.filter((symbol) => symbol.state === "halted");
}

function showCommands() {
  const [halt, resume] = [byId("halt"), byId("resume")];
  if (!halt) return;
  halt.disabled = state.has_ended;
  resume.hidden = state.has_ended || haltedSymbols().length === 0;
}

function askFirst(name, { body, words, prepare }) {
  const [dialog, answer, confirm] = [byId(`${name}-dialog`), byId(`${name}-answer`), byId(`${name}-confirm`)];
  byId(name).addEventListener("click", () => {
    prepare?.();
    setText(answer, "");
    confirm.disabled = false;
    dialog.showModal();
  });
  byId(`${name}-cancel`).addEventListener("click", () => dialog.close());
  confirm.addEventListener("click", async () => {
    confirm.disabled = true;
    setText(answer, "asking...");
    try {
      const response = await fetch(`api/${name}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body()),
      });
      if (response.ok) dialog.close();
      else setText(answer, `${words}: ${await response.text()}`);
    } catch {
      setText(answer, `${words}: the run does not answer.`);
    }
    confirm.disabled = false;
  });
}

if (byId("halt")) {
  let confirmed = [];
  askFirst("halt", {
    words: "Not halted",
    body: () => ({ flatten: document.querySelector('[name="flatten"]:checked').value === "flatten" }),
  });
  askFirst("resume", {
    words: "Not resumed",
    body: () => ({ halted: confirmed }),
    prepare: () => {
      const halted = haltedSymbols();
      confirmed = halted.map((symbol) => symbol.symbol);
      byId("resume-list").replaceChildren(...halted.map((symbol) => make("li", {}, `${symbol.symbol}: ${symbol.reason}`)));
    },
  });
}

setInterval(tick, 200);
connect();
