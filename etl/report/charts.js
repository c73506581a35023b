"use strict";
// Adds up the cells that the reader chooses, says what they tell, and draws them as SVG of the width that there is.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
  const bands = ["under 1 day", "1–3 days", "3–7 days", "7–30 days", "30–90 days", "over 90 days"];
  const daySeconds = 86400, mostBars = 12, listed = 10, manyDays = 21, few = 5;
  const isDaily = data.unit === "day" && data.steps.length > manyDays;
  const form = document.getElementById("filters");
  const state = document.documentElement.dataset;
  const paper = { wide: 760, half: 364 };
  let printing = false;

  // --- words ---

  const count = (number) => number.toLocaleString("en-US");
  const tasks = (number) => `${count(number)} task${number === 1 ? "" : "s"}`;
  const percent = (part, whole) => `${Math.round(100 * part / whole)}%`;
  const fixed = (number, digits) => number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const length = (seconds) => seconds < 5400 ? `${fixed(seconds / 60, 0)} min`
    : seconds < 1.5 * daySeconds ? `${fixed(seconds / 3600, 1)} hours`
      : `${fixed(seconds / daySeconds, seconds < 99.95 * daySeconds ? 1 : 0)} days`;
  const date = (moment, zone, options = { year: "numeric" }) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short", ...options })
    .format(moment).replace("Sept", "Sep");
  const day = (text, options) => date(Date.parse(text), "UTC", options);
  const hour = (number) => `${String(number).padStart(2, "0")}:00`;
  const category = (name) => {
    const spaced = name.replace(/([a-z])([A-Z])|[_-]/g, "$1 $2").trim().toLowerCase();
    return spaced === "inprogress" ? "In progress" : spaced.charAt(0).toUpperCase() + spaced.slice(1);
  };

  // --- sums ---

  const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
  const only = (rows, chosen) => rows.filter(([cell]) => chosen[cell]);
  const field = (rows, place) => total(rows.map((row) => row[place]));

  function quantile(bins, share) {
    const wanted = share * total([...bins.values()]);
    if (!wanted) return null;
    let before = 0;
    for (const [place, number] of [...bins].sort((one, other) => one[0] - other[0])) {
      if (before + number >= wanted) {
        const part = (wanted - before) / number;
        return place === 0 ? data.bounds[0] * part : data.bounds[place - 1] * (data.bounds[1] / data.bounds[0]) ** part;
      }
      before += number;
    }
    return null;
  }

  function binned(rows, bin, number) {
    const bins = new Map();
    for (const row of rows) if (row[number]) bins.set(row[bin], (bins.get(row[bin]) ?? 0) + row[number]);
    return bins;
  }

  const rowsOf = {
    // Backwards from how it is now: the open ones of a step are those of the next less what was added since.
    backlog(chosen) {
      const grown = data.steps.map(() => data.categories.map(() => 0)), now = data.categories.map(() => 0);
      for (const [, step, place, number] of only(data.moves, chosen)) if (step >= 0) grown[step][place] += number;
      for (const [, place, , number] of only(data.open, chosen)) now[place] += number;
      const rows = [];
      for (let step = data.steps.length - 1; step >= 0; step -= 1) {
        const shown = now.map((number) => Math.max(0, number));
        rows.unshift({ label: day(data.steps[step]), values: shown, told: [...shown, total(shown)] });
        grown[step].forEach((number, place) => { now[place] -= number; });
      }
      return rows;
    },
    flow(chosen) {
      const rows = data.steps.map((step) => ({ label: day(step), values: [0, 0, 0] }));
      for (const [, step, , ...numbers] of only(data.flow, chosen)) if (step >= 0) rows[step].values = rows[step].values.map((sum, place) => sum + numbers[place]);
      return rows;
    },
    ages(chosen) {
      const rows = bands.map((label) => ({ label, values: data.priorities.map(() => 0) }));
      for (const [cell, , band, number] of only(data.open, chosen)) if (band >= 0) rows[band].values[data.cells[cell][2]] += number;
      return rows;
    },
    agents: (chosen) => bars(only(data.agents, chosen).map(([, agent, open, late]) => [data.agentNames[agent], open, late])),
    queues: (chosen) => bars(only(data.open, chosen).map(([cell, , , open, late]) => [data.queues[data.cells[cell][1]], open, late])),
    stays(chosen) {
      const rows = only(data.stays, chosen), places = [...new Set(rows.map((row) => row[1]))];
      return places.map((place) => {
        const bins = binned(rows.filter((row) => row[1] === place), 2, 3);
        const [median, most] = [0.5, 0.9].map((share) => quantile(bins, share) / daySeconds);
        return { label: data.statuses[place], values: [median, most], told: [`${fixed(median, 1)} days`, `${fixed(most, 1)} days`, total([...bins.values()])] };
      }).sort((one, other) => other.values[0] - one.values[0] || one.label.localeCompare(other.label));
    },
    arrivals(chosen) {
      const rows = Array.from({ length: 24 }, (_, place) => ({ label: hour(place), values: weekdays.map(() => 0) }));
      for (const [, place, number] of only(data.arrivals, chosen)) rows[place % 24].values[Math.floor(place / 24)] += number;
      return rows;
    },
  };

  function bars(found) {
    const sums = new Map();
    for (const [name, open, late] of found) {
      const [before, beforeLate] = sums.get(name) ?? [0, 0];
      sums.set(name, [before + open, beforeLate + late]);
    }
    return [...sums].map(([label, [open, late]]) => ({ label, values: [open - late, late] }))
      .sort((one, other) => total(other.values) - total(one.values) || one.label.localeCompare(other.label));
  }

  // --- headline numbers: a value, and a note of texts, some with a mood ---

  function versus(number, earlier, when, good) {
    if (number === earlier) return [`as many as ${when}`];
    const isMore = number > earlier;
    return [`${count(Math.abs(number - earlier))} ${isMore ? "more" : "fewer"} than ${when}`, good === 0 ? "" : (isMore === good > 0 ? "good" : "bad")];
  }

  function duration(chosen, kind, of) {
    const rows = only(data.durations, chosen).filter((row) => row[1] === kind);
    const [all, week] = [3, 4].map((place) => binned(rows, 2, place));
    const [number, lately] = [all, week].map((bins) => total([...bins.values()]));
    const median = quantile(all, 0.5), recent = quantile(week, 0.5);
    const isTold = lately >= few && number >= 2 * lately && Math.abs(recent - median) > 0.05 * median;
    const mood = isTold ? (recent < median ? "good" : "bad") : "";
    const since = `since ${day(data.steps[0])}`;
    return [median === null ? "–" : length(median), [
      [number ? `of ${count(number)} ${of(number)} ${since}; ` : `no ${of(1)} seen ${since}; `],
      [lately ? `last 7 days: ${length(recent)}, median of ${count(lately)}` : "none in 7 days", mood],
    ]];
  }

  function tiles(chosen) {
    const opened = only(data.open, chosen), open = field(opened, 3), overdue = field(opened, 4);
    const agents = only(data.agents, chosen), [yes, known] = [4, 5].map((place) => field(agents, place));
    const nobody = field(agents.filter((row) => data.agentNames[row[1]] === data.nobody), 2);
    const [week, before] = [1, 2].map((which) => only(data.flow, chosen).filter((row) => row[2] === which));
    const [created, resolved, reopened, deleted] = [3, 4, 5, 6].map((place) => [field(week, place), field(before, place)]);
    // Before the first sync nobody saw what was resolved or reopened.
    const unseen = (days) => data.firstSync !== null && Date.parse(data.firstSync) > data.now - days * daySeconds * 1000;
    const seen = (days, note) => unseen(days) ? ["what was before the first sync is not known"] : note;
    const weekAgo = open - (created[0] - resolved[0] + reopened[0] - deleted[0]);
    const than = "in the 7 days before";
    const share = (number) => [[open ? `${percent(number, open)} of the open tasks` : "no task is open"]];
    return {
      open: [count(open), [seen(7, versus(open, weekAgo, "a week ago", -1)), [deleted[0] ? `; ${count(deleted[0])} deleted` : ""]]],
      overdue: [count(overdue), share(overdue)],
      breached: known ? [percent(yes, known), [[`${count(yes)} of ${count(known)} open tasks`]]] : ["–", [[open ? "the server does not tell" : "no task is open"]]],
      unassigned: [count(nobody), share(nobody)],
      created: [count(created[0]), [versus(...created, than, 0)]],
      resolved: [count(resolved[0]), [seen(14, versus(...resolved, than, 1))]],
      reopened: [count(reopened[0]), [seen(14, versus(...reopened, than, -1))]],
      resolution: duration(chosen, 0, (number) => `resolution${number === 1 ? "" : "s"}`),
      response: duration(chosen, 1, (number) => `change${number === 1 ? "" : "s"} of status, not replies,`),
    };
  }

  // --- the charts: the columns of their tables, what they say, their legends, and how they are drawn ---

  const legendOf = (names, colors, mark = "") => names.map((name, place) => ({ name, color: colors[place], mark: place && mark === "line" ? "dashed" : mark }));
  const stepTitle = data.unit === "week" ? "Week from" : "Day";
  const flowColors = ["var(--created)", "var(--resolved)"], loadColors = ["var(--bar)", "var(--alarm)"];
  const unknown = data.categories.indexOf("not recorded");
  const categoryColors = data.categories.map((_, place) => place === unknown ? "url(#unknown)" : `var(--c${Math.min(place, 7)})`);
  const priorityColors = data.priorities.map((_, place) => `var(--p${place})`);
  const load = (title) => ({
    columns: [title, "Not overdue", "Overdue"], legend: legendOf(["Not overdue", "Overdue"], loadColors),
    draw: (drawing, rows) => horizontal(drawing, rows.filter((row) => row.label !== data.nobody || rows.length === 1).slice(0, mostBars), loadColors, title),
    tell(rows) {
      if (!rows.length) return "No task is open.";
      const nobody = rows.find((row) => row.label === data.nobody && title === "Agent"), others = rows.filter((row) => row !== nobody);
      const told = others.length ? [`Most with ${others[0].label}: ${tasks(total(others[0].values))}, ${count(others[0].values[1])} of them overdue.`] : [];
      if (others.length > mostBars) told.push(`The ${mostBars} largest of ${count(others.length)}.`);
      if (nobody) told.push(`${tasks(total(nobody.values))} with nobody, ${count(nobody.values[1])} of them overdue.`);
      return told.join(" ");
    },
  });
  const charts = {
    backlog: {
      columns: [stepTitle, ...data.categories.map(category), "Open in all"], legend: legendOf(data.categories.map(category), categoryColors),
      // On day one the API has told how tasks are, and nothing has told how they were.
      instead: () => data.firstSync !== null && data.firstSync >= data.steps.at(-1)
        ? `The history begins with the first sync on ${day(data.firstSync)}. The API tells how tasks are now and not how they were. `
          + "This chart grows with each day of syncs." : null,
      tell: (rows) => rows.some((row) => total(row.values))
        ? `From ${count(total(rows[0].values))} to ${tasks(total(rows.at(-1).values))}, by the category of their status.`
        : "No task was open in this time.",
      draw: (drawing, rows) => overTime(drawing, rows, categoryColors, data.categories.map(category), true, 270),
    },
    flow: {
      columns: [stepTitle, "Created", "Resolved", "Reopened"], legend: legendOf(["Created", "Resolved"], flowColors, "line"),
      tell(rows) {
        const [created, resolved, reopened] = [0, 1, 2].map((place) => total(rows.map((row) => row.values[place])));
        if (!created && !resolved && !reopened) return "No task was created or resolved in this time.";
        const told = `${tasks(created)} created, ${count(resolved)} resolved and ${count(reopened)} reopened in this time.`;
        return isDaily ? `${told} The bold lines are the mean of 7 days.` : told;
      },
      draw: (drawing, rows) => overTime(drawing, rows, flowColors, ["Created", "Resolved", "Reopened"], false, 230),
    },
    ages: {
      columns: ["Age", ...data.priorities], legend: legendOf(data.priorities, priorityColors),
      tell(rows) {
        const sums = rows.map((row) => total(row.values));
        return total(sums) ? `${percent(total(sums.slice(4)), total(sums))} have been open for more than 30 days.` : "No task is open.";
      },
      draw: (drawing, rows) => vertical(drawing, rows, priorityColors, data.priorities),
    },
    agents: load("Agent"),
    queues: load("Queue"),
    stays: {
      columns: ["Status", "Half within", "9 of 10 within", "Stays"], legend: legendOf(["Half within", "9 of 10 within"], ["var(--bar)", "var(--mark)"]),
      tell: (rows) => rows.length ? "The bar is the median: half of the stays were shorter. The mark is where 9 of 10 had ended."
        : "No change of a status was recorded in this time.",
      draw: reaching,
    },
    arrivals: {
      columns: ["Hour", ...weekdays], legend: [], ramp: true,
      tell(rows) {
        let best = [0, 0, 0];
        rows.forEach((row, place) => row.values.forEach((number, weekday) => { if (number > best[0]) best = [number, weekday, place]; }));
        if (!best[0]) return "No task was created in this time.";
        return `Created by weekday and hour. The busiest: ${weekdays[best[1]]}, ${hour(best[2])} to ${hour(best[2] + 1)}, ${tasks(best[0])}.`;
      },
      draw: heat,
    },
  };

  // --- drawing ---

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function add(parent, name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function label(parent, x, y, anchor, text, look = "") {
    return add(parent, "text", { x, y, "text-anchor": anchor, class: `label ${look}` }, text);
  }

  function mark(parent, name, attributes, told) {
    add(parent, name, { class: "mark", ...attributes }).told = told;
  }

  function canvas(drawing, height) {
    const width = printing ? (drawing.closest("#chart-backlog") ? paper.wide : paper.half) : Math.max(220, Math.floor(drawing.clientWidth));
    const made = add(drawing, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" });
    return [made, width];
  }

  /** Round numbers from 0 to at least the greatest, about as many as asked for; whole ones where tasks are counted. */
  function ticks(greatest, most, least = 1) {
    const raw = Math.max(greatest, least) / most, power = 10 ** Math.floor(Math.log10(raw));
    const step = Math.max(least, power * [1, 2, 5, 10].find((each) => each * power >= raw * 0.999));
    return Array.from({ length: Math.ceil(Math.max(greatest, least) / step - 1e-9) + 1 }, (_, place) => place * step);
  }

  function scaled(svg, width, height, greatest) {
    const marks = ticks(greatest, 4), left = 12 + 7.5 * count(marks.at(-1)).length, bottom = height - 26, top = 10;
    const y = (value) => bottom - value / marks.at(-1) * (bottom - top);
    for (const each of marks) {
      add(svg, "line", { x1: left, x2: width, y1: y(each), y2: y(each), class: "grid" });
      label(svg, left - 8, y(each) + 4, "end", count(each));
    }
    return { left, bottom, top, y };
  }

  const told = (label, names, values) => [[label, ""], ...names.map((name, place) => [name, count(values[place])])];

  /** Areas one upon the other, or lines; of few steps each has its level, of many days the lines are means of seven. */
  function overTime(drawing, rows, colors, names, isStacked, height) {
    const [svg, width] = canvas(drawing, height), shown = colors.map((_, place) => rows.map((row) => row.values[place]));
    const isMean = !isStacked && isDaily, isPale = isMean && width >= 480, isStepped = rows.length <= manyDays;
    const means = shown.map((line) => line.map((_, place) => place < 6 ? null : total(line.slice(place - 6, place + 1)) / 7));
    // Beside means, single days may leave the chart at its top: to hold them all would make the means flat.
    const most = isStacked ? Math.max(...rows.map((row) => total(row.values))) : Math.max(...shown.flat());
    const greatest = isMean ? Math.min(most, (isPale ? 2.5 : 1) * Math.max(...means.flat())) : most;
    const { left, bottom, top, y } = scaled(svg, width, height, greatest);
    const right = isStepped ? 0 : 22, band = (width - left - right) / (isStepped ? rows.length : rows.length - 1), x = (place) => left + place * band;
    const path = (values) => values.map((value, place) => value === null ? "" : isStepped
      ? `${place ? "L" : "M"}${x(place)},${y(value)}H${x(place + 1)}` : `${place && values[place - 1] !== null ? "L" : "M"}${x(place)},${y(value)}`).join("");
    const below = (values) => [...values].map((_, back) => values.length - 1 - back).map((place) => isStepped
      ? `L${x(place + 1)},${y(values[place])}H${x(place)}` : `L${x(place)},${y(values[place])}`).join("");
    if (isStacked) {
      const pattern = add(add(svg, "defs", {}), "pattern", { id: "unknown", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
      add(pattern, "rect", { width: 2, height: 6, class: "hatch" });
      let base = rows.map(() => 0);
      shown.forEach((values, place) => {
        const upper = base.map((number, step) => number + values[step]);
        if (total(values)) mark(svg, "path", { d: `${path(upper)}${below(base)}Z`, fill: colors[place], class: "mark area" });
        base = upper;
      });
      const first = data.steps.findLastIndex((step) => step <= (data.firstSync ?? ""));
      if (first > 0) {
        add(svg, "line", { x1: x(first), x2: x(first), y1: top, y2: bottom, class: "first" });
        const isLeft = x(first) > width - 120;
        label(svg, x(first) + (isLeft ? -6 : 6), top + 10, isLeft ? "end" : "start", "first sync", "strong");
      }
    } else {
      add(add(add(svg, "defs", {}), "clipPath", { id: "plot" }), "rect", { x: left, y: top, width: width - left, height: bottom - top });
      colors.forEach((color, place) => {
        if (isPale) add(svg, "path", { d: path(shown[place]), stroke: color, class: "line pale", "clip-path": "url(#plot)" });
        mark(svg, "path", { d: path((isMean ? means : shown)[place]), stroke: color, class: `mark line${place ? " dashed" : ""}` });
      });
    }
    const every = Math.max(1, Math.ceil((isStepped ? 48 : 84) / band));
    rows.forEach((row, place) => {
      const middle = x(place) + (isStepped ? band / 2 : 0);
      if ((rows.length - 1 - place) % every === 0) label(svg, middle, height - 6, "middle", day(data.steps[place], {}));
      const text = told(row.label, isStacked ? [...names, "Open in all"] : names, row.told ?? row.values);
      const start = isStepped ? x(place) : Math.max(left, middle - band / 2);
      mark(svg, "rect", { x: start, y: top, width: band, height: bottom - top, class: "mark hover" }, text);
    });
  }

  function vertical(drawing, rows, colors, names) {
    const height = 230, [svg, width] = canvas(drawing, height);
    const { left, y } = scaled(svg, width, height, Math.max(...rows.map((row) => total(row.values))));
    const band = (width - left) / rows.length;
    const short = (text) => band < 74 ? text.replace(/ days?/, "d").replace("under ", "<").replace("over ", ">") : text;
    rows.forEach((row, place) => {
      let base = 0;
      row.values.forEach((number, which) => {
        const box = { x: left + (place + 0.14) * band, width: 0.72 * band, y: y(base + number), height: y(base) - y(base + number) };
        if (number) mark(svg, "rect", { ...box, fill: colors[which], class: "mark bar" }, told(row.label, names, row.values));
        base += number;
      });
      label(svg, left + (place + 0.5) * band, height - 6, "middle", short(row.label));
    });
  }

  /** Names at the left, numbers at the bottom. */
  function named(drawing, rows, greatest, tall, least, unit = "") {
    const size = Math.min(64, Math.max(30, tall / rows.length)), thick = Math.min(28, 0.66 * size);
    const bottom = rows.length * size + 4, [svg, width] = canvas(drawing, bottom + 24);
    const left = Math.min(170, 0.4 * width), marks = ticks(greatest, Math.max(2, Math.floor((width - left) / 90)), least);
    const x = (value) => left + value / marks.at(-1) * (width - left - (unit ? 28 : 16));
    for (const each of marks) {
      add(svg, "line", { x1: x(each), x2: x(each), y1: 0, y2: bottom, class: "grid" });
      label(svg, x(each), bottom + 18, "middle", count(each) + unit);
    }
    rows.forEach((row, place) => {
      const name = label(svg, left - 10, (place + 0.5) * size + 4, "end", row.label);
      const letters = [...row.label];
      while (letters.length > 3 && name.getComputedTextLength() > left - 12) { letters.pop(); name.textContent = `${letters.join("")}…`; }
    });
    return [svg, x, (place) => (place + 0.5) * size - thick / 2, thick];
  }

  function horizontal(drawing, rows, colors, title) {
    const [svg, x, y, thick] = named(drawing, rows, Math.max(...rows.map((row) => total(row.values))), mostBars * 30);
    rows.forEach((row, place) => {
      let base = 0;
      row.values.forEach((number, which) => {
        const box = { x: x(base), width: x(base + number) - x(base), y: y(place), height: thick };
        const text = [[title, row.label], ["Not overdue", count(row.values[0])], ["Overdue", count(row.values[1])]];
        if (number) mark(svg, "rect", { ...box, fill: colors[which], class: "mark bar" }, text);
        base += number;
      });
    });
  }

  function reaching(drawing, rows) {
    const [svg, x, y, thick] = named(drawing, rows, Math.max(...rows.map((row) => row.values[1])), 7 * 28, 0.1, " days");
    rows.forEach((row, place) => {
      const [median, most] = row.values, text = [["Status", row.label], ["Half within", row.told[0]], ["9 of 10 within", row.told[1]], ["Stays", count(row.told[2])]];
      add(svg, "line", { x1: x(median), x2: x(most), y1: y(place) + thick / 2, y2: y(place) + thick / 2, class: "reach" });
      mark(svg, "rect", { x: x(0), width: Math.max(1, x(median) - x(0)), y: y(place), height: thick, fill: "var(--bar)" }, text);
      mark(svg, "rect", { x: x(most) - 1.5, width: 3, y: y(place) + thick / 2 - 8, height: 16, fill: "var(--mark)" }, text);
    });
  }

  function heat(drawing, rows) {
    const [svg, width] = canvas(drawing, 7 * 28 + 24), left = 40, band = (width - left) / 24, greatest = Math.max(...rows.flatMap((row) => row.values));
    weekdays.forEach((name, weekday) => {
      label(svg, left - 8, weekday * 28 + 18, "end", name.slice(0, 3));
      rows.forEach((row, place) => {
        const number = row.values[weekday], box = { x: left + place * band + 1, y: weekday * 28 + 1, width: band - 2, height: 26, rx: 2 };
        const text = [["Weekday", name], ["Hour from", row.label], ["Created", count(number)]];
        mark(svg, "rect", { ...box, fill: "var(--heat)", "fill-opacity": 0.06 + 0.94 * number / greatest }, text);
      });
    });
    const every = width < 420 ? 6 : 3;
    for (let place = 0; place < 24; place += every) label(svg, left + (place + 0.5) * band, 7 * 28 + 18, "middle", rows[place].label.slice(0, 2));
  }

  // --- showing ---

  function showFigure(name, rows) {
    const chart = charts[name], figure = document.getElementById(`chart-${name}`), drawing = figure.querySelector(".drawing");
    const sentence = chart.tell(rows), instead = chart.instead?.() ?? null;
    const isEmpty = instead !== null || !rows.some((row) => total(row.values));
    chart.rows = isEmpty ? null : rows;
    figure.querySelector(".sentence").textContent = instead === null ? sentence : "";
    drawing.setAttribute("aria-label", `${figure.querySelector("h2").textContent}. ${sentence} The numbers are in the table below.`);
    drawing.hidden = isEmpty;
    figure.querySelector("details").hidden = isEmpty;
    figure.querySelector(".nothing").hidden = !isEmpty;
    figure.querySelector(".nothing").textContent = instead ?? "Nothing to show.";
    figure.querySelector(".legend").replaceChildren(...isEmpty ? [] : legend(chart, rows));
    figure.querySelector("thead tr").replaceChildren(...chart.columns.map((title, place) => element("th", { scope: "col", class: place ? "number" : "" }, title)));
    figure.querySelector("tbody").replaceChildren(...rows.map((row) => element("tr", {}, element("th", { scope: "row" }, row.label),
      ...(row.told ?? row.values).map((value) => element("td", { class: "number" }, typeof value === "number" ? count(value) : value)))));
    draw(name);
  }

  function legend(chart, rows) {
    if (chart.ramp) return [element("li", { class: "ramp", "aria-hidden": "true" }, "fewer ", element("span"), " more")];
    return chart.legend.filter((_, place) => rows.some((row) => row.values[place])).map(({ name, color, mark: look }) => {
      const isHatched = color.startsWith("url"), style = isHatched ? "" : `--swatch:${color}`;
      return element("li", {}, element("span", { class: `swatch ${isHatched ? "unknown" : look}`, style }), name);
    });
  }

  function draw(name) {
    const chart = charts[name], drawing = document.querySelector(`#chart-${name} .drawing`);
    drawing.replaceChildren();
    if (chart.rows) chart.draw(drawing, chart.rows);
    chart.width = drawing.clientWidth;
  }

  function showTiles(chosen) {
    for (const [key, [value, note]] of Object.entries(tiles(chosen))) {
      document.querySelector(`#tile-${key} .value`).textContent = value;
      document.querySelector(`#tile-${key} .note`).replaceChildren(...note.map(([text, mood]) => element("span", { class: mood ?? "" }, text)));
    }
  }

  function showWaiting(chosen) {
    const section = document.getElementById("waiting"), found = data.waiting.filter(([cell]) => chosen[cell]);
    const late = found.filter((row) => row[7] !== null && row[7] < data.now).sort((one, other) => one[7] - other[7]).slice(0, listed);
    const lines = [...new Set([...found.slice(0, listed), ...late])].sort((one, other) => one[6] - other[6]);
    section.querySelector(".nothing").hidden = lines.length > 0;
    section.querySelector(".scroll").hidden = !lines.length;
    section.querySelector("tbody").replaceChildren(...lines.map(([cell, id, ref, name, status, agent, created, due]) => {
      const [, queue, priority] = data.cells[cell], isLate = due !== null && due < data.now;
      const address = data.taskUrl?.replaceAll("{_id}", encodeURIComponent(id)).replaceAll("{ref_id}", encodeURIComponent(ref));
      const texts = [[name, "name"], [data.statuses[status], ""], [data.priorities[priority], "priority"], [agent || data.queues[queue], ""],
        [date(created, data.zone), "date"], [isLate ? length((data.now - due) / 1000) : due === null ? "no due date" : "–", `date${isLate ? " bad" : ""}`]];
      const cells = texts.map(([text, look]) => element("td", { class: look }, text));
      cells[2].prepend(element("span", { class: "swatch", style: `--swatch:var(--p${priority})` }));
      const link = address ? element("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, ref) : ref;
      return element("tr", {}, element("th", { scope: "row" }, link), ...cells);
    }));
  }

  function show() {
    const wanted = ["stream", "queue", "priority"].map((name) => form.elements[name].value);
    const chosen = data.cells.map((cell) => cell.every((place, kind) => wanted[kind] === "" || Number(wanted[kind]) === place));
    const isNarrowed = wanted.some((value) => value !== "");
    showTiles(chosen);
    for (const name of Object.keys(charts)) showFigure(name, rowsOf[name](chosen));
    showWaiting(chosen);
    form.querySelector("button").hidden = !isNarrowed;
    document.getElementById("shown").textContent = isNarrowed ? `${tasks(field(only(data.open, chosen), 3))} open in this choice` : "";
    state.state = "drawn";
  }

  function offer(name, names, kind) {
    const used = [...new Set(data.cells.map((cell) => cell[kind]))].map((place) => [names[place], place]);
    used.sort((one, other) => kind < 2 ? one[0].localeCompare(other[0]) : one[1] - other[1]);
    form.elements[name].append(...used.map(([text, place]) => new Option(text, place)));
    form.elements[name].parentElement.hidden = used.length < 2;
  }

  const tip = element("div", { id: "tip", hidden: "" });
  document.body.append(tip);
  function showTip(event) {
    const lines = event.target.told;
    tip.hidden = !lines;
    if (!lines) return;
    tip.replaceChildren(...lines.filter(([, text]) => lines.length < 7 || text !== "0")
      .map(([name, text]) => element("div", {}, element("span", {}, name), element("b", {}, text))));
    const { clientWidth: width, clientHeight: height } = tip;
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, event.clientY + height + 22 > innerHeight ? event.clientY - height - 12 : event.clientY + 14)}px`;
  }
  addEventListener("pointermove", showTip);
  addEventListener("pointerdown", showTip);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  offer("stream", data.streams, 0);
  offer("queue", data.queues, 1);
  offer("priority", data.priorities, 2);
  form.hidden = [...form.querySelectorAll("label")].every((label) => label.hidden);
  form.addEventListener("change", show);
  form.querySelector("button").addEventListener("click", () => { form.reset(); show(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
  const drawAll = () => Object.keys(charts).forEach(draw);
  new ResizeObserver(() => {
    if (!printing) Object.keys(charts).filter((name) => charts[name].width !== document.querySelector(`#chart-${name} .drawing`).clientWidth).forEach(draw);
  }).observe(document.getElementById("charts"));
  addEventListener("beforeprint", () => { printing = true; drawAll(); });
  addEventListener("afterprint", () => { printing = false; drawAll(); });
})();
