"use strict";
// Asks for /api/status every two seconds and draws it. Text goes in as text, never as markup.

const EVERY_MS = 2000;
const PATIENCE_MS = 5000;
const WIDTH = 300, HEIGHT = 80;
const SIGNS = {
  pass: ["✓", "passes"], warn: ["▲", "warning"], fail: ["✗", "fails"],
  inconclusive: ["?", "not decided yet"], not_applicable: ["·", "not applicable"],
};

const at = (id) => document.getElementById(id);
const put = (id, text) => { const node = at(id); if (node.textContent !== text) node.textContent = text; };
const count = (n) => n.toLocaleString("en");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

function element(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect", "line", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function digits(value) {
  return value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.0009995) return `${digits(value * 1e6)} µs`;
  if (value < 0.9995) return `${digits(value * 1e3)} ms`;
  return `${digits(value)} s`;
}

function bytes(value) {
  return value < 9.995e8 ? `${(value / 1e6).toFixed(0)} MB` : `${digits(value / 1e9)} GB`;
}

function clock(value) {
  const whole = Math.floor(value), two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(whole / 86400), hours = Math.floor(whole / 3600) % 24;
  return `${days ? `${days} d ` : ""}${hours}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function amount(value, unit) {
  if (value === null) return "";
  if (unit === "yes") return value ? "yes" : "no";
  const shown = Number.isInteger(value) || Math.abs(value) >= 100 ? count(Math.round(value)) : value.toPrecision(2);
  return `${shown} ${unit.replace(/^x$/, "×")}`;
}

const threshold = (line) => line.replace(">=", "≥").replace("<=", "≤").replace("== ", "");

function head(status) {
  const facts = status.facts;
  put("scenario", facts.scenario);
  const line = at("state");
  line.className = `state ${facts.state}`;
  put("state", [facts.phase || facts.state, facts.verdict && `verdict: ${facts.verdict}`].filter(Boolean).join(", "));
  const length = facts.duration_s === null ? "until told to stop" : `of ${clock(facts.duration_s)}`;
  put("run", `${clock(facts.elapsed_s)} ${length}, target ${facts.target}, seed ${facts.seed}, run ${facts.run_id}`);
  at("progress").hidden = facts.duration_s === null;
  if (facts.duration_s) at("progress").value = Math.min(1, facts.elapsed_s / facts.duration_s);
  put("version", `stressd ${facts.version}`);
  document.title = `${facts.state}: ${facts.scenario} – stressd`;
}

function tiles(status) {
  const facts = status.facts;
  const kinds = Object.entries(status.violations).filter(([, n]) => n > 0);
  const violations = kinds.reduce((sum, [, n]) => sum + n, 0);
  put("violations", count(violations));
  at("tile-violations").className = violations ? "bad" : status.reads_verified ? "good" : "";
  put("verified", violations ? kinds.map(([kind, n]) => `${n} ${kind}`).join(", ") : `in ${plural(status.reads_verified, "read")} checked`);
  put("errors", count(status.errors));
  const share = status.attempts ? (100 * status.errors) / status.attempts : 0;
  at("tile-errors").className = share >= 1 ? "bad" : "";
  put("error-share", `${share.toFixed(2)} % of ${plural(status.attempts, "operation")}`);
  put("rate", digits(status.rate_per_s));
  put("memory", bytes(facts.memory_bytes));
  put("memory-limit", facts.memory_limit_bytes ? `of ${bytes(facts.memory_limit_bytes)}` : "all processes");
  const desired = facts.pools.reduce((sum, pool) => sum + pool.desired, 0);
  const running = facts.pools.reduce((sum, pool) => sum + (pool.states.running || 0) + (pool.states.degraded || 0), 0);
  put("workers", `${running} of ${desired}`);
  at("tile-workers").className = facts.deaths ? "bad" : "";
  const restarts = Object.values(facts.restarts).reduce((sum, n) => sum + n, 0);
  put("restarts", `${restarts} restarted, ${facts.deaths} died`);
}

function operations(status) {
  const rows = status.operations.map((op) => element("tr", {},
    element("th", { scope: "row" }, op.name),
    ...[digits(op.rate_per_s), seconds(op.recent_p50_s), seconds(op.recent_p99_s), seconds(op.p99_s), count(op.count)]
      .map((text) => element("td", {}, text))));
  document.querySelector("#operations tbody").replaceChildren(...rows);
}

function criteria(status) {
  const tally = {};
  const rows = status.criteria.map((one) => {
    tally[one.outcome] = (tally[one.outcome] || 0) + 1;
    const [sign, word] = SIGNS[one.outcome];
    const row = element("li", { class: one.outcome },
      element("span", { class: "sign", role: "img", "aria-label": word }, sign),
      element("span", { class: "name" }, one.name.replaceAll("_", " ")),
      element("span", { class: "value" }, amount(one.value, one.unit)));
    const wanted = one.unit === "yes" ? "" : `passes at ${threshold(one.passes)}, fails at ${threshold(one.fails)}`;
    row.append(element("span", { class: "quiet" }, [one.note || one.measures, wanted].filter(Boolean).join("; ")));
    return row;
  });
  at("criteria-list").replaceChildren(...rows);
  put("tally", Object.keys(SIGNS).filter((key) => tally[key]).map((key) => `${tally[key]} ${key.replace("_", " ")}`).join(", "));
}

function faults(status) {
  const records = status.facts.faults;
  at("faults").hidden = records.length === 0;
  at("faults-list").replaceChildren(...records.slice(-20).map((fault) => element("li", {},
    `${fault.kind.replaceAll("_", " ")} from ${clock(fault.from_s)} to ${clock(fault.until_s)}: ` +
    (fault.recovery_s === null ? "not recovered yet" : `good service again after ${seconds(fault.recovery_s)}`))));
}

function charts(status) {
  const past = status.history;
  const series = [
    ["Operations a second", past.rates_per_s, digits],
    ["Memory", past.memory_bytes, bytes],
    ...Object.entries(past.p99_s).filter(([, values]) => values.some((v) => v !== null))
      .map(([name, values]) => [`${name}, p99`, values, seconds]),
  ];
  at("charts").replaceChildren(...series.map(([name, values, show]) => chart(name, values, past, show)));
}

function chart(name, values, past, show) {
  const known = values.filter((value) => value !== null);
  const last = known.length ? known[known.length - 1] : null;
  const top = Math.max(...known, 0);
  const told = known.length
    ? `${name}: now ${show(last)}, lowest ${show(Math.min(...known))}, highest ${show(top)}`
    : `${name}: nothing yet`;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": told });
  const x = (i) => (values.length < 2 ? WIDTH : (i * WIDTH) / (values.length - 1));
  const y = (value) => HEIGHT - 1 - (top > 0 ? (value / top) * (HEIGHT - 6) : 0);
  past.faults.forEach((fault, i) => {
    if (fault) svg.append(element("rect", { class: "fault", x: x(i) - 1, y: 0, width: Math.max(2, WIDTH / values.length + 1), height: HEIGHT }));
  });
  svg.append(element("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }));
  for (const run of runs(values)) {
    const points = run.map(([i, value]) => `${x(i).toFixed(1)} ${y(value).toFixed(1)}`);
    const line = points.length > 1 ? `M${points.join("L")}` : `M${points[0]}h0.1`;
    if (points.length > 1) svg.append(element("path", { class: "area", d: `${line}L${x(run[run.length - 1][0]).toFixed(1)} ${HEIGHT}L${x(run[0][0]).toFixed(1)} ${HEIGHT}Z` }));
    svg.append(element("path", { class: points.length > 1 ? "line" : "line dot", d: line }));
  }
  const caption = element("figcaption", {}, name, element("span", {}, element("output", {}, last === null ? "–" : show(last)), ` max ${known.length ? show(top) : "–"}`));
  return element("figure", { class: "chart" }, caption, svg);
}

// The stretches without gaps, as [place, value] pairs: where nothing was measured there is no line.
function runs(values) {
  const found = [];
  values.forEach((value, i) => {
    if (value === null) return;
    if (i === 0 || values[i - 1] === null) found.push([]);
    found[found.length - 1].push([i, value]);
  });
  return found;
}

function lost(error) {
  at("state").className = "state lost";
  put("state", `no answer (${error.message}); what is shown is old`);
}

async function turn() {
  try {
    const answer = await fetch("/api/status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const status = await answer.json();
    for (const draw of [head, tiles, charts, operations, criteria, faults]) draw(status);
  } catch (error) {
    lost(error);
  }
  setTimeout(turn, EVERY_MS);
}

turn();
