"use strict";
// All text that comes from run files is put into the page as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const MEASURES = ["mae", "rmse", "max"];
  const DASHES = ["", "7 4", "2 3", "10 3 2 3"];
  const COLOURS = 7;
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779",
    "#6ece58", "#b5de2b", "#fde725"];
  const BINS = 27; // of the colour scale
  const FIRST = { runs: 200, commands: 10 }; // that are shown before all are asked for
  const $ = (id) => document.getElementById(id);

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const drawn = (name, attributes = {}, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  const short = (value, digits = 4) => {
    if (value === null) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 2);
    return String(Number(value.toPrecision(digits)));
  };
  const error = (value) => (value === null ? "–" : value.toExponential(2));
  const title = (run) =>
    `${data.oracles[run.oracle]} · ${data.rivals[run.rival]} · seed ${run.seed}`;
  const fill = (select, options) => {
    const before = select.value;
    select.replaceChildren(...options.map(([value, text]) =>
      element("option", { value, textContent: text })));
    if (options.some(([value]) => String(value) === before)) select.value = before;
  };
  const range = (values) => values.reduce(
    ([low, high], v) => (v === null ? [low, high] : [Math.min(low, v), Math.max(high, v)]),
    [Infinity, -Infinity]);

  // ---- pictures -------------------------------------------------------------------------------
  const linearTicks = ([low, high], most) => {
    const raw = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const first = Math.ceil(low / step - 1e-9);
    const count = Math.floor(high / step + 1e-9) - first + 1;
    const digits = Math.max(0, Math.min(20, -Math.floor(Math.log10(step) + 1e-9)));
    const big = Math.max(Math.abs(low), Math.abs(high));
    return Array.from({ length: count }, (_, i) => {
      const value = (first + i) * step;
      const text = big >= 1e6 || big < 1e-3 ? short(value) : value.toFixed(digits);
      return [value, text];
    });
  };
  const logTicks = ([low, high], most) => {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const last = Math.floor(Math.log10(high) + 1e-9);
    if (last - first < 2) {
      const found = [];
      for (let p = first - 1; p <= last; p += 1) {
        for (const m of [1, 2, 3, 5, 7]) found.push(Number(`${m}e${p}`));
      }
      return found.filter((v) => v >= low && v <= high).map((v) => [v, short(v, 2)]);
    }
    const step = Math.ceil((last - first + 1) / most);
    const found = [];
    for (let p = first; p <= last; p += step) found.push([Number(`1e${p}`), `1e${p}`]);
    return found;
  };
  const widened = ([low, high], log) => {
    if (log) return low === high ? [low / 3, high * 3] : [low / 1.15, high * 1.15];
    const margin = low === high ? Math.abs(low) || 1 : 0.03 * (high - low);
    return [low - margin, high + margin];
  };

  /** Draws frame, ticks and names; returns the picture and where values are in it. */
  const axes = (box, { across, up, log, label }) => {
    const width = Math.max(box.clientWidth, 200);
    const height = Math.round(Math.min(460, Math.max(270, 0.56 * width)));
    const left = 62, right = 14, top = 30, bottom = 44;
    const svg = drawn("svg", {
      viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img", "aria-label": label,
    });
    const [x0, x1] = across.range;
    const [y0, y1] = log ? up.range.map(Math.log10) : up.range;
    const x = (v) => left + ((v - x0) / (x1 - x0)) * (width - left - right);
    const y = (v) =>
      height - bottom - (((log ? Math.log10(v) : v) - y0) / (y1 - y0)) * (height - top - bottom);
    for (const [value, text] of linearTicks([x0, x1], width < 500 ? 4 : 8)) {
      svg.append(drawn("path", { class: "grid", d: `M${x(value)} ${top}V${height - bottom}` }));
      svg.append(drawn("text", { x: x(value), y: height - bottom + 16, "text-anchor": "middle" },
        text));
    }
    for (const [value, text] of (log ? logTicks : linearTicks)(up.range, 7)) {
      svg.append(drawn("path", { class: "grid", d: `M${left} ${y(value)}H${width - right}` }));
      svg.append(drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, text));
    }
    const corner = `M${left} ${top}V${height - bottom}H${width - right}`;
    svg.append(drawn("path", { class: "frame", d: corner }));
    svg.append(drawn("text", { class: "label", x: (left + width - right) / 2, y: height - 8,
      "text-anchor": "middle" }, across.name));
    svg.append(drawn("text", { class: "label", x: 8, y: 18 }, up.name));
    return { svg, x, y, width, height };
  };

  /** Lets a picture tell the values of the mark that is pointed at, tapped, or reached by keys. */
  const tell = (box, picture, marks) => {
    const { svg, width } = picture;
    const tip = element("div", { className: "tip", hidden: true });
    tip.setAttribute("aria-live", "polite");
    const ring = drawn("circle", { class: "mark", r: 8, visibility: "hidden" });
    svg.append(ring);
    box.replaceChildren(svg, tip);
    let current = -1;
    const show = (index) => {
      current = index;
      const mark = marks[index];
      ring.setAttribute("visibility", mark ? "visible" : "hidden");
      tip.hidden = !mark;
      if (!mark) return;
      ring.setAttribute("cx", mark.x);
      ring.setAttribute("cy", mark.y);
      tip.textContent = mark.text();
      const atLeft = mark.x + 16 + tip.offsetWidth > width;
      const wanted = atLeft ? mark.x - 16 - tip.offsetWidth : mark.x + 16;
      tip.style.left = `${Math.max(2, Math.min(wanted, width - tip.offsetWidth - 2))}px`;
      tip.style.top = `${Math.max(2, mark.y - tip.offsetHeight - 10)}px`;
    };
    const nearest = (x, y, among = () => true) => {
      let best = -1, least = Infinity;
      marks.forEach((mark, i) => {
        const distance = (mark.x - x) ** 2 + (mark.y - y) ** 2;
        if (distance < least && among(mark)) [best, least] = [i, distance];
      });
      return [best, Math.sqrt(least)];
    };
    const point = (event) => {
      const frame = svg.getBoundingClientRect();
      const [index, distance] = nearest(event.clientX - frame.left, event.clientY - frame.top);
      show(distance < 48 ? index : -1);
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") show(-1);
    });
    svg.addEventListener("blur", () => show(-1));
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (event.key === "Escape") show(-1);
      if (!step || !marks.length) return;
      event.preventDefault();
      const from = marks[current];
      if (!from) return show(0);
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        const next = marks[current + step];
        return next && next.line === from.line ? show(current + step) : undefined;
      }
      const lines = [...new Set(marks.map((mark) => mark.line))];
      const line = lines[(lines.indexOf(from.line) + step + lines.length) % lines.length];
      return show(nearest(from.x, from.y, (mark) => mark.line === line)[0]);
    });
  };

  // ---- head -----------------------------------------------------------------------------------
  $("summary").textContent = [
    plural(data.runs.length, "run"), plural(data.oracles.length, "oracle"),
    `${data.folders.join(", ")}`,
  ].join(" · ");
  $("problems").hidden = !data.problems.length;
  $("problem-list").append(...data.problems.map((text) => element("li", { textContent: text })));

  // ---- table ----------------------------------------------------------------------------------
  const COLUMNS = [
    ["oracle", (r) => data.oracles[r.oracle], "name"],
    ["surrogate-strategy", (r) => data.rivals[r.rival], "name"],
    ["seed", (r) => r.seed, "number", String],
    ["evaluations", (r) => r.n_evaluations, "number", (v) => short(v, 6)],
    ["MAE", (r) => r.errors[0], "number", error],
    ["RMSE", (r) => r.errors[1], "number", error],
    ["max", (r) => r.errors[2], "number", error],
    ["seconds", (r) => r.seconds, "number", (v) => (v === null ? "–" : v.toFixed(1))],
    ["status", (r) => r.status, ""],
  ];
  const words = data.runs.map((r) =>
    `${data.oracles[r.oracle]} ${data.rivals[r.rival]} seed-${r.seed} ${r.status} ${r.path}`
      .toLowerCase());
  const sorting = { column: -1, step: 1 };
  let passing = [];
  let limits = { ...FIRST };

  const heads = COLUMNS.map(([name, , kind], column) => {
    const button = element("button", { type: "button" });
    button.addEventListener("click", () => {
      sorting.step = sorting.column === column ? -sorting.step : 1;
      sorting.column = column;
      showRuns();
    });
    const head = element("th", { scope: "col", className: kind === "number" ? kind : "" }, button);
    return { name, button, head };
  });
  const last = element("th", { scope: "col" });
  last.setAttribute("aria-label", "points");
  document.querySelector("#runs thead tr").append(...heads.map(({ head }) => head), last);

  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  };
  const row = (run) => {
    const made = element("tr");
    for (const [, value, kind, format] of COLUMNS) {
      const content = value(run);
      const textContent = format ? format(content) : content;
      made.append(element("td", { className: kind, textContent }));
    }
    const button = element("button", { type: "button", textContent: "points", hidden: !run.x });
    button.setAttribute("aria-label", `Show the points of ${title(run)}`);
    button.addEventListener("click", () => {
      $("point-run").value = data.runs.indexOf(run);
      choosePoints();
      $("points").scrollIntoView();
      $("point-run").focus({ preventScroll: true });
    });
    made.append(element("td", {}, button));
    return made;
  };
  const showRuns = () => {
    const wanted = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    passing = data.runs.filter((_, i) => wanted.every((word) => words[i].includes(word)));
    if (sorting.column >= 0) {
      const [, value] = COLUMNS[sorting.column];
      passing.sort((a, b) => {
        const [p, q] = [value(a), value(b)];
        return p === null || q === null ? compare(p, q) : sorting.step * compare(p, q);
      });
    }
    heads.forEach(({ name, button, head }, i) => {
      const way = i !== sorting.column ? "none" : sorting.step > 0 ? "ascending" : "descending";
      head.setAttribute("aria-sort", way);
      button.textContent = name + { none: "", ascending: " ▲", descending: " ▼" }[way];
    });
    const shown = passing.slice(0, limits.runs);
    document.querySelector("#runs tbody").replaceChildren(...shown.map(row));
    $("more-runs").textContent = `Show all ${passing.length} rows`;
    $("more-runs").hidden = passing.length <= limits.runs;
    $("shown").textContent = `${passing.length} of ${plural(data.runs.length, "run")}`;
    showCommands();
  };
  $("filter").addEventListener("input", () => {
    limits = { ...FIRST };
    showRuns();
  });
  $("more-runs").addEventListener("click", () => {
    limits.runs = Infinity;
    showRuns();
  });

  // ---- commands -------------------------------------------------------------------------------
  // a line must not end within an option's name
  const unbroken = (text) => text.split(/(\s+)/).map((part, i) =>
    (i % 2 ? part : element("span", { className: "word", textContent: part })));
  const showCommands = () => {
    $("command-list").replaceChildren(...passing.slice(0, limits.commands).map((run) => {
      const textContent = ` · versions ${run.made + 1}`;
      const made = element("span", { className: "made", textContent });
      return element("li", {}, element("strong", { textContent: title(run) }), made,
        element("pre", {}, ...unbroken(run.command ?? run.spec)));
    }));
    $("more-commands").textContent = `Show all ${passing.length}`;
    $("more-commands").hidden = passing.length <= limits.commands;
  };
  $("more-commands").addEventListener("click", () => {
    limits.commands = Infinity;
    showCommands();
  });
  $("versions").append(...data.made.map((text, i) =>
    element("li", { textContent: `${i + 1}: ${text}` })));

  // ---- curves ---------------------------------------------------------------------------------
  const hiddenRivals = new Set();
  const swatch = (rival) => {
    const svg = drawn("svg", { viewBox: "0 0 38 12", "aria-hidden": "true",
      class: `c${rival % COLOURS}` });
    svg.append(drawn("path", { class: "line", d: "M1 6H37",
      "stroke-dasharray": DASHES[rival % DASHES.length] }));
    return svg;
  };
  const curvesShown = () => data.curves.filter((c) => c.oracle === Number($("curve-oracle").value));
  const showLegend = () => {
    $("legend").replaceChildren(...curvesShown().map(({ rival }) => {
      const button = element("button", { type: "button" }, swatch(rival),
        element("span", { textContent: data.rivals[rival] }));
      button.setAttribute("aria-pressed", String(!hiddenRivals.has(rival)));
      button.addEventListener("click", () => {
        if (!hiddenRivals.delete(rival)) hiddenRivals.add(rival);
        button.setAttribute("aria-pressed", String(!hiddenRivals.has(rival)));
        showCurves();
      });
      return button;
    }));
  };
  const showCurves = () => {
    const box = $("curve-chart");
    const measure = $("curve-measure").value;
    const lines = curvesShown().filter((c) => !hiddenRivals.has(c.rival));
    if (!lines.length) {
      const text = data.curves.length ? "All lines are hidden." : "No run has a known error.";
      box.replaceChildren(element("p", { className: "empty", textContent: text }));
      return;
    }
    const withBand = $("curve-band").checked;
    const seen = lines.flatMap((c) => (withBand ? [...c[measure][1], ...c[measure][2]]
      : c[measure][0]));
    const name = MEASURES.indexOf(measure) < 2 ? measure.toUpperCase() : "largest error";
    const oracle = data.oracles[$("curve-oracle").value];
    const picture = axes(box, {
      across: { name: "evaluations", range: widened(range(lines.flatMap((c) => c.n)), false) },
      up: { name: `${name}, geometric mean over seeds`, range: widened(range(seen), true) },
      log: true,
      label: `${name} against evaluations for ${oracle}, ${plural(lines.length, "line")}`,
    });
    const { svg, x, y } = picture;
    const path = (n, values) => n.map((v, i) => `${x(v).toFixed(1)} ${y(values[i]).toFixed(1)}`);
    const marks = [];
    for (const curve of lines) {
      const [mean, low, high] = curve[measure];
      const group = drawn("g", { class: `c${curve.rival % COLOURS}`, "data-rival": curve.rival });
      if (withBand) {
        const back = path(curve.n, low).reverse();
        group.append(drawn("path", { class: "band",
          d: `M${path(curve.n, high).join("L")}L${back.join("L")}Z` }));
      }
      group.append(drawn("path", { class: "line", d: `M${path(curve.n, mean).join("L")}`,
        "stroke-dasharray": DASHES[curve.rival % DASHES.length] }));
      curve.n.forEach((n, i) => {
        if (curve.n.length <= 60) {
          group.append(drawn("circle", { class: "dot", cx: x(n), cy: y(mean[i]), r: 3 }));
        }
        marks.push({ x: x(n), y: y(mean[i]), line: curve.rival, text: () =>
          `${data.rivals[curve.rival]}\n${short(n, 6)} evaluations, `
          + `${plural(curve.seeds[i], "seed")}\n${name} ${error(mean[i])}\n`
          + `from ${error(low[i])} to ${error(high[i])}` });
      });
      svg.append(group);
    }
    tell(box, picture, marks);
  };
  const setAll = (hide) => {
    for (const { rival } of curvesShown()) {
      if (hide) hiddenRivals.add(rival);
      else hiddenRivals.delete(rival);
    }
    showLegend();
    showCurves();
  };
  $("all-lines").addEventListener("click", () => setAll(false));
  $("no-lines").addEventListener("click", () => setAll(true));
  const drawnOracles = [...new Set(data.curves.map((c) => c.oracle))].sort((a, b) => a - b);
  fill($("curve-oracle"), drawnOracles.map((i) => [i, data.oracles[i]]));
  $("curve-oracle").addEventListener("change", () => {
    showLegend();
    showCurves();
  });
  $("curve-measure").addEventListener("change", showCurves);
  $("curve-band").addEventListener("change", showCurves);
  $("curve-band").checked = curvesShown().length <= 6; // many bands hide one another

  // ---- points ---------------------------------------------------------------------------------
  const withPoints = data.runs.flatMap((run, i) => (run.x ? [[i, title(run)]] : []));
  fill($("point-run"), withPoints);
  if (data.n_without_points) {
    $("left-out").hidden = false;
    $("left-out").textContent = `The points of ${plural(data.n_without_points, "run")} are left `
      + "out to keep this page small; make a page of fewer runs to see them.";
  }
  const columns = (run) => [
    ...run.names.map((name, i) => ({ name, values: run.x[i], bounds: run.bounds[i] })),
    ...run.y.map((values, i) => ({ name: run.y.length > 1 ? `value ${i + 1}` : "value", values })),
    { name: "round", values: run.round },
  ];
  const choosePoints = () => {
    const run = data.runs[$("point-run").value];
    if (!run) return showPoints();
    const names = columns(run).map(({ name }, i) => [i, name]);
    const d = run.names.length;
    fill($("point-x"), names);
    fill($("point-y"), names);
    fill($("point-colour"), names.slice(d));
    if ($("point-x").value === $("point-y").value || run.names.join() !== choosePoints.names) {
      [$("point-x").value, $("point-y").value] = [0, 1];
      $("point-colour").value = d;
    }
    choosePoints.names = run.names.join();
    const rounds = [...new Set(run.round)].sort((a, b) => a - b);
    Object.assign($("round"), { min: 0, max: Math.max(rounds.length - 1, 0) });
    $("round").value = rounds.length - 1;
    return showPoints();
  };
  const mixed = (share) => {
    const at = Math.max(0, Math.min(1, share)) * (VIRIDIS.length - 1);
    const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
    const channel = (colour, k) => parseInt(colour.slice(1 + 2 * k, 3 + 2 * k), 16);
    return `rgb(${[0, 1, 2].map((k) => Math.round(channel(VIRIDIS[i], k) * (1 - at + i)
      + channel(VIRIDIS[i + 1], k) * (at - i))).join(",")})`;
  };
  const showScale = (name, [low, high]) => {
    const bar = drawn("svg", { viewBox: `0 0 ${BINS} 1`, preserveAspectRatio: "none",
      "shape-rendering": "crispEdges", "aria-hidden": "true" });
    for (let i = 0; i < BINS; i += 1) {
      bar.append(drawn("rect", { x: i, width: 1.1, height: 1, fill: mixed(i / (BINS - 1)) }));
    }
    const key = (kind, shape, text) => {
      const svg = drawn("svg", { class: "key", viewBox: "-9 -9 18 18", "aria-hidden": "true" });
      svg.append(drawn("path", { class: kind, d: shape }));
      return element("span", {}, svg, text);
    };
    $("scale").replaceChildren(element("span", {}, `${name}: ${short(low)}`, bar, short(high)),
      key("newest", "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0", "newest round"),
      key("failed", "M-5 -5L5 5M-5 5L5 -5", "failed"));
  };
  const showPoints = () => {
    const box = $("point-chart");
    const run = data.runs[$("point-run").value];
    if (!run || !run.round.length) {
      box.replaceChildren(element("p", { className: "empty", textContent: "No points to show." }));
      $("scale").replaceChildren();
      $("failures").replaceChildren();
      return;
    }
    const rounds = [...new Set(run.round)].sort((a, b) => a - b);
    const newest = rounds[$("round").value];
    const count = run.round.filter((r) => r <= newest).length;
    $("round-shown").textContent = `${newest} of ${rounds[rounds.length - 1]} `
      + `(${plural(count, "evaluation")})`;
    $("round").setAttribute("aria-valuetext", $("round-shown").textContent);
    const all = columns(run);
    const [across, up, shade] = ["point-x", "point-y", "point-colour"]
      .map((id) => all[$(id).value]);
    const span = (column) => {
      const found = column.bounds ?? range(column.values);
      return widened(Number.isFinite(found[0]) ? found : [0, 1], false);
    };
    const picture = axes(box, {
      across: { name: across.name, range: span(across) },
      up: { name: up.name, range: span(up) },
      log: false,
      label: `${up.name} against ${across.name}: points of ${title(run)} up to round ${newest}`,
    });
    const { svg, x, y } = picture;
    const limits = range(shade.values);
    const [low, high] = Number.isFinite(limits[0]) ? limits : [0, 0];
    const bins = Array.from({ length: BINS }, () => []);
    const parts = { rim: [], newest: [], failed: [] };
    const marks = [];
    const why = new Map(run.failed);
    run.round.forEach((asked, i) => {
      if (asked > newest) return;
      const failed = why.has(i);
      const [h, v] = [across.values[i], up.values[i]];
      if (h === null || v === null) return;
      const [px, py] = [x(h), y(v)];
      const at = `M${px.toFixed(1)} ${py.toFixed(1)}`;
      if (failed) parts.failed.push(`${at}m-4 -4l8 8m0 -8l-8 8`);
      else {
        const share = high > low ? (shade.values[i] - low) / (high - low) : 0.5;
        bins[Math.round(share * (BINS - 1))].push(`${at}h0`);
        parts.rim.push(`${at}h0`);
      }
      if (asked === newest) parts.newest.push(`${at}m-7 0a7 7 0 1 0 14 0a7 7 0 1 0 -14 0`);
      marks.push({ x: px, y: py, line: 0, text: () => [
        ...all.map((c) => `${c.name} = ${c.values[i] === null ? "–" : short(c.values[i], 6)}`),
        ...(failed ? [run.messages[why.get(i)]] : []),
      ].join("\n") });
    });
    const width = run.round.length > 3000 ? 5 : 9;
    const dots = (list, extra) => drawn("path", { class: "dots", d: list.join(""), ...extra });
    svg.append(dots(parts.rim, { class: "dots rim", "stroke-width": width + 1.5 }));
    bins.forEach((list, i) => {
      if (list.length) {
        svg.append(dots(list, { stroke: mixed(i / (BINS - 1)), "stroke-width": width }));
      }
    });
    svg.append(drawn("path", { class: "failed", d: parts.failed.join("") }));
    svg.append(drawn("path", { class: "newest", d: parts.newest.join("") }));
    tell(box, picture, marks);
    showScale(shade.name, [low, high]);
    const counts = new Map();
    for (const [i, reason] of run.failed) {
      if (run.round[i] <= newest) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    $("failures").replaceChildren(...[...counts].map(([reason, n]) =>
      element("li", { textContent: `${n} × ${run.messages[reason]}` })));
  };
  $("point-run").addEventListener("change", choosePoints);
  for (const id of ["point-x", "point-y", "point-colour"]) {
    $(id).addEventListener("change", showPoints);
  }
  $("round").addEventListener("input", showPoints);

  // ---- start ----------------------------------------------------------------------------------
  showRuns();
  showLegend();
  showCurves();
  choosePoints();
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return; // a phone's address bar came or went
    width = window.innerWidth;
    showCurves();
    showPoints();
  });
})();
