// Asks for /api/status every second and draws it. Text goes in as text, never as markup.

import { Charts, element } from "./charts.js";
import { themeButton } from "./theme.js";
import { amount, bytes, clock, count, digits, plain, plural, seconds, threshold } from "./words.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
const SIGNS = {
  pass: ["✓", "passes"], warn: ["▲", "warning"], fail: ["✗", "fails"],
  inconclusive: ["?", "not decided yet"], not_applicable: ["·", "not applicable"],
};
const VERDICTS = {
  pass: ["good", "Passing so far", "Passed"], warn: ["warn", "Passing with warnings so far", "Passed with warnings"],
  fail: ["bad", "Failing so far", "Failed"], violated: ["bad", "Data violated", "Data violated"],
  inconclusive: ["", "Not decided yet", "Inconclusive"], error: ["bad", "Workers or daemon failing", "Workers or daemon failed"],
};

const at = (id) => document.getElementById(id);

// `raw` is what is shown before it was rounded and worded, for whoever reads the page by program.
function put(id, text, raw) {
  const node = at(id);
  if (node.textContent !== text) node.textContent = text;
  if (raw !== undefined) node.dataset.value = raw;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

function hero(status) {
  const facts = status.facts, over = facts.state === "stopped";
  const [look, now, then] = VERDICTS[facts.verdict] || ["", "No verdict yet", "No verdict"];
  at("hero").className = `hero ${look}`;
  put("verdict", over ? then : now, facts.verdict || "");
  put("scenario", facts.scenario);
  at("state").className = `state ${facts.state}`;
  put("state", facts.phase && facts.phase !== facts.state ? `${facts.state}, ${facts.phase}` : facts.state, facts.state);
  const length = facts.duration_s === null ? "until told to stop" : `of ${clock(facts.duration_s)}`;
  put("run", `${clock(facts.elapsed_s)} ${length} · target ${facts.target} · seed ${facts.seed} · run ${facts.run_id}`);
  at("progress").hidden = facts.duration_s === null;
  if (facts.duration_s) at("progress").value = Math.min(1, facts.elapsed_s / facts.duration_s);
  put("version", `stressd ${facts.version}`);
  const title = `${facts.verdict || facts.state}: ${facts.scenario} – stressd`;
  if (document.title !== title) document.title = title;
  at("tally").replaceChildren(...Object.keys(SIGNS).map((outcome) => [outcome, status.criteria.filter((one) => one.outcome === outcome).length])
    .filter(([, n]) => n)
    .map(([outcome, n]) => element("li", { class: outcome }, element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[outcome][0]), ` ${n} ${plain(outcome)}`)));
}

function tiles(status) {
  const facts = status.facts;
  const kinds = Object.entries(status.violations).filter(([, n]) => n > 0);
  const violations = sum(kinds.map(([, n]) => n));
  put("violations", count(violations), violations);
  at("tile-violations").className = violations ? "bad" : status.reads_verified ? "good" : "";
  put("verified", violations ? kinds.map(([kind, n]) => `${count(n)} ${plain(kind)}`).join(", ") : `in ${plural(status.reads_verified, "read")} checked`);
  put("errors", count(status.errors), status.errors);
  const share = status.attempts ? (100 * status.errors) / status.attempts : 0;
  at("tile-errors").className = share >= 1 ? "bad" : "";
  put("error-share", `${share.toFixed(2)} % of ${plural(status.attempts, "operation")}`);
  put("rate", digits(status.rate_per_s), status.rate_per_s);
  put("memory", bytes(facts.memory_bytes), facts.memory_bytes);
  put("memory-limit", facts.memory_limit_bytes ? `of ${bytes(facts.memory_limit_bytes)}, all processes` : "all processes");
  const desired = sum(facts.pools.map((pool) => pool.desired));
  const running = sum(facts.pools.map((pool) => (pool.states.running || 0) + (pool.states.degraded || 0)));
  put("workers", `${running} of ${desired}`, running);
  at("tile-workers").className = facts.deaths ? "bad" : "";
  const restarts = sum(Object.values(facts.restarts));
  put("restarts", `${count(restarts)} restarted, ${count(facts.deaths)} died`, restarts);
}

const row = (head, ...cells) => element("tr", {}, head, ...cells.map((cell) => element("td", {}, cell)));

function operations(status) {
  document.querySelector("#operations tbody").replaceChildren(...status.operations.map((op) => row(
    element("th", { scope: "row", "data-value": op.count }, op.name),
    digits(op.rate_per_s), seconds(op.recent_p50_s), seconds(op.recent_p99_s), seconds(op.p99_s), count(op.count))));
}

function processes(status) {
  document.querySelector("#processes tbody").replaceChildren(...status.processes.map((one, n) => row(
    element("th", { scope: "row", "data-value": one.pid ?? "" }, element("i", { class: `key hue${n % 8}` }), one.name),
    one.state || "–", one.memory_bytes ? bytes(one.memory_bytes) : "–", one.cores.toFixed(2), one.age_s === null ? "–" : clock(one.age_s))));
}

function criteria(status) {
  at("criteria-list").replaceChildren(...status.criteria.map((one) => {
    const [sign, word] = SIGNS[one.outcome];
    const line = element("li", { class: one.outcome, "data-name": one.name, "data-value": one.value ?? "" },
      element("span", { class: "sign", role: "img", "aria-label": word }, sign),
      element("span", { class: "name" }, plain(one.name)),
      element("span", { class: "value" }, amount(one.value, one.unit)));
    const wanted = one.unit === "yes" ? "" : `passes at ${threshold(one.passes)}, fails at ${threshold(one.fails)}`;
    line.append(element("span", { class: "quiet" }, [one.note || one.measures, wanted].filter(Boolean).join("; ")));
    return line;
  }));
}

const when = (fault) => `${plain(fault.kind)} from ${clock(fault.from_s)} to ${clock(fault.until_s)}`;

function faults(status) {
  const records = status.facts.faults;
  at("faults").hidden = at("fault-key").hidden = records.length === 0;
  at("faults-list").replaceChildren(...records.slice(-20).reverse().map((fault) => element("li", {},
    `${when(fault)}: ${fault.recovery_s === null ? "not recovered yet" : `good service again after ${seconds(fault.recovery_s)}`}`)));
}

const charts = new Charts(at("charts"), (time) => put("span", span(time)));
let shown = null;

function span(cursor) {
  const times = shown ? shown.history.at_s : [];
  if (!times.length) return "nothing measured yet";
  return cursor === null ? `${clock(times[0])} to ${clock(times[times.length - 1])}` : `at ${clock(cursor)}`;
}

function overTime(status) {
  shown = status;
  const past = status.history, memory = status.memory;
  const perStep = past.errors.map((n) => n / past.step_s);
  const latencies = Object.keys(past.p99_s).filter((name) => past.p99_s[name].some((value) => value !== null));
  charts.draw({
    at: past.at_s,
    span: [Math.max(0, (past.at_s[0] ?? 0) - past.step_s), past.at_s[past.at_s.length - 1] ?? 0],
    faults: status.facts.faults.map((fault) => ({ from: fault.from_s, until: fault.until_s, title: when(fault) })),
    list: [
      { name: "Operations a second", show: digits, lines: [{ name: "operations", values: past.rates_per_s }] },
      { name: "Errors a second", show: digits, lines: [{ name: "errors", values: perStep }] },
      { name: "Memory by process", show: bytes, stacked: true, at: memory.at_s,
        lines: Object.entries(memory.memory_bytes).map(([name, values]) => ({ name, values })) },
      ...latencies.map((name) => ({ name, show: seconds, lines: [
        { name: "p50", values: past.p50_s[name] }, { name: "p99", values: past.p99_s[name] }] })),
    ],
  });
  put("span", span(charts.cursor));
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
    for (const draw of [hero, tiles, overTime, operations, processes, criteria, faults]) draw(status);
    document.documentElement.dataset.sample = status.facts.sample;
  } catch (error) {
    lost(error);
  }
}

themeButton(at("theme"));

async function goOn() {
  const next = new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  await turn();
  await next;
  goOn();
}

goOn();
