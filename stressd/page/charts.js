// Small charts over one span of time, drawn as SVG, with one cursor for all of them.

const WIDTH = 300, HEIGHT = 88, TOP = 6;
const SVG = ["svg", "path", "rect", "line", "title", "g"];

export function element(name, attributes = {}, ...children) {
  const made = SVG.includes(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Charts in a box. `draw` is given { at, faults, list }: the times, [{ from, until, title }], and for each chart
// { name, show, lines: [{ name, values }], stacked }. Figures stay the same elements, so that focus stays where it is.
export class Charts {
  constructor(box, onCursor) {
    this.box = box;
    this.figures = new Map();
    this.cursor = null; // a time, or none
    this.onCursor = onCursor;
  }

  draw(data) {
    this.data = data;
    const names = new Set(data.list.map((chart) => chart.name));
    for (const [name, figure] of this.figures) if (!names.has(name)) { figure.remove(); this.figures.delete(name); }
    for (const chart of data.list) this.one(chart, this.figure(chart.name));
  }

  figure(name) {
    if (!this.figures.has(name)) {
      const figure = element("figure", { class: "chart", tabindex: "0" });
      figure.addEventListener("pointermove", (event) => this.point(figure, event));
      figure.addEventListener("pointerleave", () => this.move(null));
      figure.addEventListener("blur", () => this.move(null));
      figure.addEventListener("keydown", (event) => this.key(event));
      this.figures.set(name, figure);
      this.box.append(figure);
    }
    return this.figures.get(name);
  }

  one(chart, figure) {
    const at = chart.at || this.data.at;
    const i = this.index(at);
    const svg = chart.stacked ? stack(chart, at, this.data) : lines(chart, at, this.data);
    if (this.cursor !== null && i >= 0) {
      const x = scale(this.data.span)(at[i]);
      svg.append(element("line", { class: "cursor", x1: x, x2: x, y1: 0, y2: HEIGHT }));
    }
    svg.setAttribute("aria-label", told(chart));
    const peak = element("span", { class: "peak", "aria-hidden": "true" }, svg.top > 0 ? chart.show(svg.top) : "");
    figure.replaceChildren(caption(chart, i), peak, svg);
  }

  // The place of the last point that is not behind the cursor; the last one known without a cursor.
  index(at) {
    if (this.cursor === null) return at.length - 1;
    let i = at.findIndex((time) => time > this.cursor);
    if (i < 0) i = at.length;
    return Math.max(0, i - 1);
  }

  point(figure, event) {
    const box = figure.querySelector("svg").getBoundingClientRect(), [from, until] = this.data.span;
    this.move(from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (until - from));
  }

  key(event) {
    const at = this.data.at, step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") this.move(null);
    if (step === undefined || !at.length) return;
    event.preventDefault();
    this.move(at[Math.min(at.length - 1, Math.max(0, this.index(at) + step))]);
  }

  move(time) {
    if (time === this.cursor || !this.data) return;
    this.cursor = time;
    this.draw(this.data);
    this.onCursor(time);
  }
}

const scale = ([from, until]) => (time) => (until > from ? Math.min(1, Math.max(0, (time - from) / (until - from))) * WIDTH : WIDTH);

function caption(chart, i) {
  const values = element("span", { class: "values" });
  if (chart.stacked) {
    values.append(element("output", {}, chart.at.length ? chart.show(chart.lines.reduce((sum, line) => sum + (line.values[i] || 0), 0)) : "–"));
  } else {
    chart.lines.forEach((line, n) => {
      const value = line.values[i];
      if (chart.lines.length > 1) values.append(element("i", { class: `key line${n}` }), `${line.name} `);
      values.append(element("output", {}, value === null || value === undefined ? "–" : chart.show(value)), " ");
    });
  }
  return element("figcaption", {}, element("span", { class: "what" }, chart.name), values);
}

function told(chart) {
  const parts = chart.lines.map((line) => {
    const known = line.values.filter((value) => value !== null);
    if (!known.length) return `${line.name}: nothing yet`;
    return `${line.name}: last ${chart.show(known[known.length - 1])}, lowest ${chart.show(Math.min(...known))}, highest ${chart.show(Math.max(...known))}`;
  });
  return `${chart.name}. ${parts.join("; ")}`;
}

// The ground of a chart: faults as bands, and three lines to see heights by.
function canvas(data) {
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const x = scale(data.span);
  for (const fault of data.faults) {
    if (fault.until < data.span[0] || fault.from > data.span[1]) continue;
    const from = x(fault.from), until = x(fault.until);
    svg.append(element("rect", { class: "fault", x: from, y: 0, width: Math.max(1.5, until - from), height: HEIGHT }, element("title", {}, fault.title)));
  }
  for (const share of [0, 0.5, 1]) {
    const y = HEIGHT - share * (HEIGHT - TOP) - 0.5;
    svg.append(element("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
  }
  return svg;
}

function lines(chart, at, data) {
  const top = Math.max(0, ...chart.lines.flatMap((line) => line.values.filter((value) => value !== null)));
  const x = scale(data.span), y = (value) => HEIGHT - 0.5 - (top > 0 ? (value / top) * (HEIGHT - TOP) : 0);
  const svg = Object.assign(canvas(data), { top });
  chart.lines.forEach((line, n) => {
    for (const run of runs(line.values)) {
      const points = run.map(([i, value]) => `${x(at[i]).toFixed(1)} ${y(value).toFixed(1)}`);
      const path = points.length > 1 ? `M${points.join("L")}` : `M${points[0]}h0.1`;
      if (chart.lines.length === 1 && points.length > 1) {
        svg.append(element("path", { class: "area", d: `${path}L${x(at[run[run.length - 1][0]]).toFixed(1)} ${HEIGHT}L${x(at[run[0][0]]).toFixed(1)} ${HEIGHT}Z` }));
      }
      svg.append(element("path", { class: `line line${n}${points.length > 1 ? "" : " dot"}`, d: path }));
    }
  });
  return svg;
}

function stack(chart, at, data) {
  const sums = at.map((_, i) => chart.lines.reduce((sum, line) => sum + (line.values[i] || 0), 0));
  const top = Math.max(0, ...sums), x = scale(data.span);
  const y = (value) => HEIGHT - 0.5 - (top > 0 ? (value / top) * (HEIGHT - TOP) : 0);
  const svg = Object.assign(canvas(data), { top }), below = at.map(() => 0);
  chart.lines.forEach((line, n) => {
    const low = below.slice();
    line.values.forEach((value, i) => { below[i] += value || 0; });
    if (at.length < 2) return;
    const upper = at.map((time, i) => `${x(time).toFixed(1)} ${y(below[i]).toFixed(1)}`);
    const lower = at.map((time, i) => `${x(time).toFixed(1)} ${y(low[i]).toFixed(1)}`).reverse();
    svg.append(element("path", { class: `layer hue${n % 8}`, d: `M${upper.join("L")}L${lower.join("L")}Z` }, element("title", {}, line.name)));
  });
  return svg;
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
