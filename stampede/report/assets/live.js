"use strict";
/* The page of a run in progress: asks its server for the figures each second and puts them in their places; run control.
   All texts come ready from the server (stampede/live/figures.py) and are set as text, never as HTML. */

(() => {
  const EVERY = 1000, EVERY_AFTER = 10000, PATIENCE = 5000;
  const { key } = JSON.parse(document.getElementById("chart-data").textContent);
  const $ = (id) => document.getElementById(id);
  const data = { x: [], steps: [], failures: {}, holders: {}, by_host: {}, hosts: {}, marks: [], width: 1, seconds: 0, limits: { cpu: 1, lag: 1 } };
  const view = { steps: [], percentile: "p95", time: "response", log: false, host: "", everyHost: null, zoom: null };
  const { specs } = runCharts(data, view);
  const drawn = Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, () => (data.x.length && (name !== "failures" || Object.keys(data.failures).length) ? spec() : null)]));
  const page = showFigures(document.querySelectorAll("figure[data-chart]"), drawn, data, view,
    (name) => (view.everyHost && view.host !== view.everyHost && ofGenerator.includes(name) ? " Host " + view.host + "." : ""));

  /* ---- putting texts where they belong, touching only what changed: a selection or a screen reader is not disturbed */

  function set(element, text, looks = "") {
    if (element.textContent !== text) element.textContent = text;
    if (element.className !== looks) element.className = looks;
  }

  function children(parent, count, make) {
    while (parent.childElementCount > count) parent.lastElementChild.remove();
    while (parent.childElementCount < count) parent.append(make());
    return [...parent.children];
  }

  const make = (...tags) => () => {
    const [outer, ...inner] = tags.map((tag) => document.createElement(tag));
    outer.append(...inner);
    return outer;
  };

  function fill(name, rows) {
    const section = $(name).closest("section"), body = $(name).tBodies[0];
    section.hidden = rows.length === 0;
    children(body, rows.length, make("tr")).forEach((row, number) => {
      const cells = rows[number].map((cell) => (Array.isArray(cell) ? cell : [cell, ""]));
      if (row.childElementCount !== cells.length) {
        row.replaceChildren(...cells.map((_, place) => document.createElement(place ? "td" : "th")));
        row.firstElementChild.scope = "row";
      }
      cells.forEach(([text, looks], place) => {
        const cell = row.children[place];
        if (name === "step-table" && place === 0) {
          if (!cell.firstElementChild) cell.append(make("i")(), make("span")());
          cell.firstElementChild.className = "c" + (number % 12);
          set(cell.lastElementChild, text);
        } else set(cell, text, looks);
      });
    });
  }

  function show(figures) {
    set($("verdict"), figures.headline);
    document.title = figures.headline + " · " + $("run").textContent;
    $("verdict-box").className = "verdict " + figures.tone;
    const flat = figures.findings.flatMap(([title, texts]) => texts.map(([text, warning], place) => [place ? "" : title, text, warning]));
    children($("findings"), flat.length, () => {
      const row = make("div")();
      row.append(make("dt")(), make("dd")());
      return row;
    }).forEach((row, number) => {
      const [title, text, warning] = flat[number];
      set(row.firstElementChild, title);
      set(row.lastElementChild, text, warning ? "warning" : "");
    });
    children($("tiles"), figures.tiles.length, () => {
      const tile = make("div")(), value = make("dd")();
      value.append(make("span")(), " ", make("small")());
      tile.append(make("dt")(), value);
      return tile;
    }).forEach((tile, number) => {
      const [title, value, rest, looks] = figures.tiles[number];
      tile.className = looks;
      set(tile.firstElementChild, title);
      set(tile.lastElementChild.firstElementChild, value);
      set(tile.lastElementChild.lastElementChild, rest);
    });
    fill("threshold-table", figures.thresholds);
    fill("step-table", figures.steps);
    fill("error-table", figures.errors);
    fill("host-table", figures.hosts);
    fill("event-table", figures.events);
    $("stop").hidden = figures.over;
    $("stop").disabled = Boolean(figures.stop_asked);
    if (figures.stop_asked || figures.over) set($("said"), figures.over ? "" : figures.stop_asked);
    $("control").hidden = figures.over;
    $("next").hidden = figures.next_stage === null || Boolean(figures.stop_asked);
    set($("next-number"), String(figures.next_stage ?? ""));
  }

  /* ---- what the charts show */

  function chips() {
    const toggles = $("step-toggles");
    while (view.steps.length < data.steps.length) {
      const number = view.steps.length, chip = make("button")(), swatch = make("i")();
      view.steps.push(true);
      chip.type = "button";
      chip.className = "chip";
      chip.setAttribute("aria-pressed", "true");
      swatch.className = "c" + (number % 12);
      chip.append(swatch, data.steps[number].name);
      chip.addEventListener("click", (event) => choose(view.steps.map((on, other) => (event.detail > 1 ? other === number : other === number ? !on : on))));
      toggles.insertBefore(chip, $("all-steps"));
    }
    $("over-time").closest("section").hidden = data.x.length === 0;
    $("controls").hidden = data.steps.length === 0;
  }

  function choose(steps) {
    view.steps = steps;
    document.querySelectorAll(".chip[aria-pressed]").forEach((chip, number) => chip.setAttribute("aria-pressed", String(steps[number])));
    page.redraw(["throughput", "latency", "failures"]);
  }

  function hosts(figures) {
    const names = figures.host_names, select = $("host");
    view.everyHost = names.length > 1 ? names[0] : null;
    $("host-choice").hidden = !view.everyHost;
    if (select.options.length !== names.length) select.replaceChildren(...names.map((name) => new Option(name, name)));
    select.value = view.host = figures.host;
  }

  $("all-steps").addEventListener("click", () => choose(view.steps.map(() => true)));
  $("host").addEventListener("change", () => { view.host = $("host").value; look(); });
  document.addEventListener("change", ({ target }) => {
    if (target.name === "percentile") view.percentile = target.value;
    else if (target.name === "scale") view.log = target.value === "log";
    else return;
    page.redraw(["latency"]);
  });

  /* ---- asking */

  let timer = null, answered = Date.now(), asked = 0, over = false, drawnHost = null;

  async function look() {
    clearTimeout(timer);
    const number = ++asked;
    let figures = null;
    try {
      const answer = await fetch("data?host=" + encodeURIComponent(view.host), { signal: AbortSignal.timeout(PATIENCE) });
      if (answer.ok) figures = await answer.json();
    } catch { /* not now */ }
    if (number !== asked) return;  // another host was chosen meanwhile
    if (figures) answered = Date.now();
    $("away").hidden = Date.now() - answered < PATIENCE;
    set($("away"), "No longer updated since " + new Date(answered).toISOString().slice(11, 19)
      + " UTC: stampede watch does not answer. What happens to the run since then is not shown here.", "away");
    timer = setTimeout(look, over ? EVERY_AFTER : EVERY);
    if (figures) take(figures);
  }

  function take(figures) {
    const isAnother = figures.host !== drawnHost;
    over = figures.over;
    drawnHost = figures.host;
    Object.assign(data, figures.charts);
    hosts(figures);
    chips();
    show(figures);
    if (isAnother) page.redraw();
    else page.update();
  }

  document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else look(); });

  /* A button, the question that it asks, and what its server does then. */
  function control(name, action) {
    const button = $(name), dialog = $(name + "-dialog");
    button.addEventListener("click", () => dialog.showModal());
    $(name + "-no").addEventListener("click", () => dialog.close());
    $(name + "-yes").addEventListener("click", async () => {
      dialog.close();
      button.disabled = true;
      set($("said"), "Asking all load hosts …");
      try {
        const answer = await fetch(action, { method: "POST", headers: { "X-Stampede-Key": key } });
        set($("said"), await answer.text());
      } catch {
        set($("said"), "stampede watch did not answer; whether the load hosts were asked is not known.");
      }
      button.disabled = false;
    });
  }

  control("stop", "stop");
  control("next", "next-stage");

  look();
})();
