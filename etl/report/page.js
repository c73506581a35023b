"use strict";
// What the reader chooses: the same sums as etl/report/summary.py and the same words as words.py and notes.py, over
// the cells that are chosen. Without a choice the page stays as it was written.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const longDays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
  const day = 86400, mostBars = 12, listed = 10;
  const form = document.getElementById("filters");
  const tip = Object.assign(document.createElement("div"), { id: "tip", hidden: true });
  document.body.append(tip);

  const count = (number) => number.toLocaleString("en-US");
  const tasks = (number) => `${count(number)} task${number === 1 ? "" : "s"}`;
  const fixed = (number, digits) => number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const length = (seconds) => seconds < 5400 ? `${fixed(seconds / 60, 0)} min`
    : seconds < 1.5 * day ? `${fixed(seconds / 3600, 1)} hours`
      : `${fixed(seconds / day, seconds < 99.95 * day ? 1 : 0)} days`;
  const date = (moment, zone) => {
    if (moment === null) return "–";
    const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short", year: "numeric" }).formatToParts(moment);
    const part = (type) => parts.find((each) => each.type === type).value;
    return `${part("day")} ${part("month").slice(0, 3)} ${part("year")}`;
  };
  const written = {
    day: (value) => date(value, "UTC"), days: (value) => `${fixed(value, 1)} days`,
    hour: (value) => `${String(value).padStart(2, "0")}:00`, text: String, count,
  };

  // --- sums ---

  const add = (sums, key, number) => sums.set(key, (sums.get(key) ?? 0) + number);
  const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);

  function quantile(bins, share) {
    const wanted = share * total([...bins.values()]);
    if (!wanted) return null;
    let before = 0, found = 0, part = 1;
    for (const [place, number] of [...bins].sort((one, other) => one[0] - other[0])) {
      found = place;
      part = (wanted - before) / number;
      if (before + number >= wanted) break;
      before += number;
    }
    if (found === 0) return data.bounds[0] * part;
    return data.bounds[found - 1] * (data.bounds[1] / data.bounds[0]) ** part;
  }

  function headline(chosen) {
    const weeks = [0, 0, 0, 0, 0, 0, 0];
    for (const [cell, ...numbers] of data.weeks) if (chosen[cell]) numbers.forEach((number, place) => { weeks[place] += number; });
    const all = new Map(), week = new Map();
    let open = 0, overdue = 0;
    for (const [cell, place, number, lately] of data.resolutions) if (chosen[cell]) { add(all, place, number); if (lately) add(week, place, lately); }
    for (const [cell, , , number, late] of data.open) if (chosen[cell]) { open += number; overdue += late; }
    const [created, resolved, reopened, createdBefore, resolvedBefore, , grown] = weeks;
    return {
      open, overdue, created, resolved, reopened, createdBefore, resolvedBefore, grown, deleted: created + reopened - resolved - grown,
      median: quantile(all, 0.5), medianWeek: quantile(week, 0.5),
    };
  }

  function backlog(chosen) {
    const grown = data.steps.map(() => data.categories.map(() => 0)), now = data.categories.map(() => 0);
    for (const [cell, step, category, number] of data.moves) if (chosen[cell]) grown[step][category] += number;
    for (const [cell, category, , number] of data.open) if (chosen[cell]) now[category] += number;
    const rows = [];
    for (let step = data.steps.length - 1; step >= 0; step -= 1) {
      const shown = now.map((number) => Math.max(0, number));
      rows.unshift({ day: Date.parse(data.steps[step]), ...Object.fromEntries(shown.map((number, place) => [`c${place}`, number])), total: total(shown) });
      grown[step].forEach((number, category) => { now[category] -= number; });
    }
    return rows;
  }

  function flow(chosen) {
    const rows = data.steps.map((step) => ({ day: Date.parse(step), created: 0, resolved: 0, reopened: 0 }));
    for (const [cell, step, ...numbers] of data.flow) if (chosen[cell]) ["created", "resolved", "reopened"].forEach((name, place) => { rows[step][name] += numbers[place]; });
    rows.forEach((row) => { row.resolved = Math.max(0, row.resolved); });
    return rows;
  }

  function ages(chosen) {
    const rows = data.bands.map((band) => ({ band, ...Object.fromEntries(data.priorities.map((_, place) => [`p${place}`, 0])) }));
    for (const [cell, , band, number] of data.open) if (chosen[cell] && band >= 0) rows[band][`p${data.cells[cell][2]}`] += number;
    return rows;
  }

  function stays(chosen) {
    const bins = new Map();
    for (const [cell, status, place, number] of data.stays) {
      if (!chosen[cell]) continue;
      const name = data.statuses[status];
      if (!bins.has(name)) bins.set(name, new Map());
      add(bins.get(name), place, number);
    }
    const rows = [...bins].map(([status, each]) => ({
      status, median: quantile(each, 0.5) / day, most: quantile(each, 0.9) / day, stays: total([...each.values()]),
    }));
    return rows.sort((one, other) => other.median - one.median || (one.status < other.status ? -1 : 1));
  }

  function bars(found) {
    const sums = new Map();
    for (const [name, open, late] of found) {
      const numbers = sums.get(name) ?? [0, 0];
      sums.set(name, [numbers[0] + open, numbers[1] + late]);
    }
    const ranked = [...sums].sort((one, other) => other[1][0] - one[1][0] || (one[0] < other[0] ? -1 : 1)).slice(0, mostBars);
    return ranked.map(([name, [open, late]]) => ({ name, on_time: open - late, overdue: late, of: sums.size }));
  }

  function heat(chosen) {
    const rows = Array.from({ length: 24 }, (_, hour) => ({ hour, ...Object.fromEntries(weekdays.map((name) => [name, 0])) }));
    for (const [cell, hour, number] of data.arrivals) if (chosen[cell]) rows[hour % 24][weekdays[Math.floor(hour / 24)]] += number;
    return rows;
  }

  const rowsOf = {
    backlog, flow, ages, stays, heat,
    agents: (chosen) => {
      const found = data.load.filter(([cell]) => chosen[cell]).map(([, agent, open, late]) => [data.agents[agent], open, late]);
      const [agents, nobody] = [false, true].map((is) => bars(found.filter(([name]) => (name === "Nobody") === is)));
      return [...agents, ...nobody.map((row) => ({ ...row, of: agents.length ? agents[0].of : 0 }))];
    },
    queues: (chosen) => bars(data.open.filter(([cell]) => chosen[cell]).map(([cell, , , open, late]) => [data.queues[data.cells[cell][1]], open, late])),
  };

  // --- words ---

  const grown = (head) => [
    head.grown ? `${count(Math.abs(head.grown))} ${head.grown > 0 ? "more" : "fewer"} than a week ago` : "as many as a week ago",
    ["reopened", "deleted"].filter((what) => head[what] > 0).map((what) => `${count(head[what])} ${what}`).join(", "),
  ].filter(Boolean).join("; ");
  const before = (number, earlier) => `${count(earlier)} in the 7 days before${number === earlier ? "" : ` (${number > earlier ? "+" : "−"}${count(Math.abs(number - earlier))})`}`;

  function tiles(head) {
    const share = head.open ? Math.round(100 * head.overdue / head.open) : 0;
    const since = `since ${date(Date.parse(data.steps[0]), "UTC")}`, week = head.medianWeek === null ? null : `last 7 days: ${length(head.medianWeek)}`;
    const median = head.median !== null ? [length(head.median), `${since}; ${week ?? "none in 7 days"}`]
      : ["–", week ? `none ${since}; ${week}` : "no resolution was recorded"];
    return {
      open: [count(head.open), grown(head)], created: [count(head.created), before(head.created, head.createdBefore)],
      resolved: [count(head.resolved), before(head.resolved, head.resolvedBefore)], overdue: [count(head.overdue), head.open ? `${share}% of the open tasks` : "no task is open"], median,
    };
  }

  const most = (rows) => {
    if (!rows.length) return "No task is open.";
    const [first] = rows, told = `Most with ${first.name}: ${tasks(first.on_time + first.overdue)}, ${count(first.overdue)} of them overdue.`;
    return rows.length === first.of ? told : `${told} The ${rows.length} largest of ${count(first.of)}.`;
  };
  const agents = (rows) => {
    const nobody = rows.filter((row) => row.name === "Nobody"), others = rows.filter((row) => row.name !== "Nobody");
    const told = nobody.map((row) => `${tasks(row.on_time + row.overdue)} with nobody, ${count(row.overdue)} of them overdue.`);
    return [...(others.length || !nobody.length ? [most(others)] : []), ...told].join(" ");
  };
  const sentences = {
    backlog: (rows) => !rows.some((row) => row.total) ? "No task was open in this time." : `From ${count(rows[0].total)} to ${tasks(rows.at(-1).total)}, by the category of their status.`,
    flow: (rows) => {
      const [created, resolved, reopened] = ["created", "resolved", "reopened"].map((name) => total(rows.map((row) => row[name])));
      if (!created && !resolved && !reopened) return "No task was created or resolved in this time.";
      const done = reopened ? `, ${count(resolved)} resolved and ${count(reopened)} reopened` : ` and ${count(resolved)} resolved`;
      return `${tasks(created)} created${done} in this time.${data.smoothed ? " The bold lines are the mean of 7 days." : ""}`;
    },
    ages: (rows) => {
      const sums = rows.map((row) => total(data.priorities.map((_, place) => row[`p${place}`])));
      return total(sums) ? `${Math.round(100 * total(sums.slice(4)) / total(sums))}% have been open for more than 30 days.` : "No task is open.";
    },
    stays: (rows) => rows.length ? "The bar is the median: half of the stays were shorter. The mark is where 9 of 10 had ended." : "No change of a status was recorded in this time.",
    agents, queues: most,
    heat: (rows) => {
      let best = [0, 0, 0];
      weekdays.forEach((name, place) => rows.forEach((row) => {
        if (row[name] > best[0] || (row[name] === best[0] && place === best[1] && row.hour > best[2])) best = [row[name], place, row.hour];
      }));
      if (!best[0]) return "No task was created in this time.";
      const hour = (number) => String(number).padStart(2, "0");
      return `Created by weekday and hour. The busiest: ${longDays[best[1]]}, ${hour(best[2])}:00 to ${hour(best[2] + 1)}:00, ${tasks(best[0])}.`;
    },
  };

  // --- showing ---

  const element = (name, text, className) => Object.assign(document.createElement(name), { textContent: text ?? "", className: className ?? "" });

  function showTiles(head) {
    for (const [key, [value, note]] of Object.entries(tiles(head))) {
      document.querySelector(`#tile-${key} .value`).textContent = value;
      document.querySelector(`#tile-${key} .note`).textContent = note;
    }
  }

  function showFigure(chart, rows) {
    const figure = document.getElementById(`chart-${chart.name}`), drawing = figure.querySelector(".drawing");
    const told = chart.columns.filter(([, kind]) => kind === "count" || kind === "days");
    const empty = !rows.some((row) => told.some(([field]) => row[field]));
    const sentence = sentences[chart.name](rows);
    figure.querySelector(".sentence").textContent = sentence;
    drawing.setAttribute("aria-label", `${figure.querySelector("h2").textContent}. ${sentence} The numbers are in the table below.`);
    drawing.hidden = empty;
    figure.querySelector(".nothing").hidden = !empty;
    figure.querySelectorAll(".ramp").forEach((each) => { each.hidden = empty; });
    figure.querySelectorAll(".legend li").forEach((each) => { each.hidden = !rows.some((row) => row[each.dataset.field]); });
    figure.querySelector("tbody").replaceChildren(...rows.map((row) => {
      const line = document.createElement("tr");
      line.append(...chart.columns.map(([field, kind], place) => {
        const cell = element(place ? "td" : "th", written[kind](row[field]), place || kind !== "text" ? "number" : "");
        if (!place) cell.scope = "row";
        return cell;
      }));
      return line;
    }));
    return empty ? null : draw(chart, drawing, rows);
  }

  // On paper, drawn for its width: a drawing for the screen would be made small there, and its words with it.
  const paper = { wide: 760, half: 364 };
  let printing = false;
  function roomFor(drawing) {
    if (printing) return drawing.closest("#chart-backlog") ? paper.wide : paper.half;
    return Math.max(220, Math.floor(drawing.clientWidth));
  }

  // Vega gives the element that it draws in a role of its own; the one around it keeps that of an image.
  function emptied(drawing) {
    const inner = document.createElement("div");
    drawing.replaceChildren(inner);
    return inner;
  }

  async function draw(chart, drawing, rows) {
    chart.rows = rows;
    const filled = chart.spec.data.map((each) => (each.name === "rows" ? { ...each, values: rows } : each));
    chart.embedding ??= vegaEmbed(emptied(drawing), { ...chart.spec, data: filled, width: roomFor(drawing) }, { mode: "vega", renderer: "svg", actions: false, defaultStyle: false, hover: false, tooltip: showTip });
    const { view } = await chart.embedding;
    chart.width = roomFor(drawing);
    await view.data("rows", chart.rows).width(chart.width).resize().runAsync();
    for (const svg of drawing.querySelectorAll("svg")) svg.setAttribute("aria-hidden", "true");
    chart.view = view;
  }

  function showTip(_handler, event, _item, value) {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    const told = Object.entries(value), many = told.length > 5;
    tip.replaceChildren(...told.filter(([, text]) => !many || text !== "0").map(([name, text]) => {
      const line = document.createElement("div");
      line.append(element("span", name), element("b", text));
      return line;
    }));
    const { clientWidth: width, clientHeight: height } = tip;
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, event.clientY + height + 22 > innerHeight ? event.clientY - height - 12 : event.clientY + 14)}px`;
  }

  function showLines(name, chosen) {
    const section = document.getElementById(`table-${name}`), lines = data[name].filter(([cell]) => chosen[cell]).slice(0, listed);
    section.querySelector(".nothing").hidden = lines.length > 0;
    section.querySelector(".scroll").hidden = !lines.length;
    section.querySelector("tbody").replaceChildren(...lines.map(([cell, ref, title, status, assignee, created, due]) => {
      const [, queue, priority] = data.cells[cell], line = document.createElement("tr"), swatch = element("span", "", "swatch");
      swatch.style.setProperty("--swatch", `var(--p${priority})`);
      const urgency = document.createElement("td");
      urgency.append(swatch, data.priorities[priority]);
      const head = element("th", ref);
      head.scope = "row";
      line.append(head, element("td", title, "name"), element("td", data.statuses[status]), urgency, element("td", assignee || data.queues[queue]),
        element("td", date(created, data.zone), "date"), element("td", date(due, data.zone), `date${due !== null && due < data.now ? " late" : ""}`));
      return line;
    }));
  }

  async function show() {
    document.documentElement.dataset.state = "drawing";
    const wanted = ["stream", "queue", "priority"].map((name) => form.elements[name].value);
    const chosen = data.cells.map((cell) => cell.every((place, kind) => wanted[kind] === "" || Number(wanted[kind]) === place));
    const head = headline(chosen), narrowed = wanted.some((value) => value !== "");
    showTiles(head);
    const drawn = data.charts.map((chart) => showFigure(chart, rowsOf[chart.name](chosen)));
    showLines("oldest", chosen);
    showLines("overdue", chosen);
    form.querySelector("button").hidden = !narrowed;
    document.getElementById("shown").textContent = narrowed ? `${tasks(head.open)} open in this choice` : "";
    await Promise.all(drawn);
    document.documentElement.dataset.state = "drawn";
  }

  function offer(name, names, kind) {
    const used = [...new Set(data.cells.map((cell) => cell[kind]))].map((place) => [names[place], place]);
    if (kind < 2) used.sort((one, other) => one[0].localeCompare(other[0])); else used.sort((one, other) => one[1] - other[1]);
    form.elements[name].append(...used.map(([text, place]) => new Option(text, place)));
    form.elements[name].parentElement.hidden = used.length < 2;
  }

  offer("stream", data.streams, 0);
  offer("queue", data.queues, 1);
  offer("priority", data.priorities, 2);
  form.hidden = [...form.querySelectorAll("label")].every((label) => label.hidden);
  form.addEventListener("change", show);
  form.addEventListener("reset", () => { setTimeout(show); });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  const fit = () => data.charts.forEach((chart) => {
    const drawing = document.querySelector(`#chart-${chart.name} .drawing`);
    if (chart.view && !drawing.hidden && roomFor(drawing) !== chart.width) {
      chart.width = roomFor(drawing);
      chart.view.width(chart.width).resize().runAsync();
    }
  });
  new ResizeObserver(fit).observe(document.getElementById("charts"));
  addEventListener("beforeprint", () => { printing = true; fit(); });
  addEventListener("afterprint", () => { printing = false; fit(); });
  show();
})();
