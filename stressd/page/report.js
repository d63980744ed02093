// Draws the report's charts from the data that is in the page. Everything else of it is there without a script.

import { Charts, element } from "./charts.js";
import { bytes, clock, count, digits, plain, seconds } from "./words.js";
import { themeButton } from "./theme.js";

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);

function overTime(past) {
  const times = past.at_s;
  const from = Math.max(0, times[0] - past.step_s), until = times[times.length - 1];
  const whole = `${clock(from)} to ${clock(until)}`;
  const charts = new Charts(at("charts"), (time) => { at("span").textContent = time === null ? whole : `at ${clock(time)}`; });
  at("span").textContent = whole;
  at("charts-help").hidden = false;
  at("fault-key").hidden = !past.faults.length;
  charts.draw({
    at: times,
    span: [from, until],
    faults: past.faults.map((fault) => ({ from: fault.from_s, until: fault.until_s, title: `${plain(fault.kind)} from ${clock(fault.from_s)} to ${clock(fault.until_s)}` })),
    list: [
      { name: "Operations a second", show: digits, lines: [{ name: "operations", values: past.rates_per_s }] },
      { name: "Errors a second", show: digits, lines: [{ name: "errors", values: past.errors_per_s }] },
      { name: "Memory by process", show: bytes, stacked: true, at: past.memory.at_s,
        lines: Object.entries(past.memory.memory_bytes).map(([name, values]) => ({ name, values })) },
      { name: "Processors in use", show: digits, lines: [{ name: "cores", values: past.cores }] },
      ...past.latencies.map(({ name, p50_s, p99_s }) => ({ name, show: seconds, lines: [{ name: "p50", values: p50_s }, { name: "p99", values: p99_s }] })),
    ],
  });
}

// Bars over a logarithmic scale of time: the classes are equally wide there, and their heights are counts.
function spread({ name, bars, quantiles }) {
  const WIDTH = 300, HEIGHT = 88;
  const low = Math.log(bars[0][0]), high = Math.log(bars[bars.length - 1][1]), most = Math.max(...bars.map((bar) => bar[2]));
  const x = (time) => (high > low ? (Math.log(time) - low) / (high - low) : 0) * WIDTH;
  const told = `${name}: ${quantiles.map(([what, time]) => `${what} ${seconds(time)}`).join(", ")}`;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": told });
  for (const [from, until, n] of bars) {
    const height = Math.max(1, (n / most) * (HEIGHT - 6));
    svg.append(element("rect", { class: "bar", x: x(from), y: HEIGHT - height, width: Math.max(0.8, x(until) - x(from) - 0.4), height },
      element("title", {}, `${seconds(from)} to ${seconds(until)}: ${count(n)}`)));
  }
  for (const [, time] of quantiles) svg.append(element("line", { class: "cursor", x1: x(time), x2: x(time), y1: 0, y2: HEIGHT }));
  const ends = element("p", { class: "ends quiet" }, element("span", {}, seconds(bars[0][0])), element("span", {}, seconds(bars[bars.length - 1][1])));
  const values = element("span", { class: "values" }, ...quantiles.flatMap(([what, time]) => [`${what} `, element("b", {}, seconds(time)), " "]));
  return element("figure", { class: "chart still" }, element("figcaption", {}, element("span", { class: "what" }, name), values), svg, ends);
}

if (data.history.at_s.length > 1) overTime(data.history);
if (data.spreads.length) {
  at("spread").hidden = false;
  at("spreads").append(...data.spreads.map(spread));
}
themeButton(at("theme"));
