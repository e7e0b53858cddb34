// The charts of the fleet: what dygraphs draws, a brush by pointer or keys, and marks of anomalies below.

import { bytes, clock, duration, element, short } from "./api.js";

const rate = (unit) => (value) => (value === null ? "–" : `${short(value)} ${unit}`);
const byteRate = (value) => (value === null ? "–" : `${bytes(value)}/s`);
const axisNumber = (value) => (value >= 1e6 ? `${short(value / 1e6)} M` : value >= 1e4 ? `${short(value / 1e3)} k` : short(value));

/** What each chart shows; the second line has its scale on the right. `base` 2: in powers of 1,024. */
export const CHARTS = [
  {
    title: "Function calls", resource: "function",
    lines: [{ name: "function_calls", label: "calls", format: rate("/s") }, { name: "function_p99", label: "p99", format: duration, axis: duration }],
  },
  { title: "CPU", resource: "cpu", lines: [{ name: "cpu", label: "in use", format: rate("CPUs") }] },
  { title: "Memory", resource: "memory", lines: [{ name: "memory", label: "in use", format: bytes, base: 2 }] },
  { title: "Network", resource: "network", lines: [{ name: "network", label: "sent and received", format: byteRate, base: 2 }] },
  { title: "I/O", resource: "io", lines: [{ name: "io", label: "read and written", format: byteRate, base: 2 }] },
  {
    title: "GPU", resource: "gpu",
    lines: [{ name: "gpu_memory", label: "memory", format: bytes, base: 2 },
      { name: "gpu_launches", label: "launches", format: rate("/s") }],
  },
];

/** Fewer pixels are a click, not a span. */
const DRAG_MIN = 4;
const SVG = "http://www.w3.org/2000/svg";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** All charts: they share the cursor and the span that is marked. `open` gets the ends of a span, in seconds. */
export class Charts {
  constructor(Dygraph, box, status, open) {
    this.status = status;
    this.open = open;
    this.cursor = null;
    this.span = null;
    this.isDragging = false;
    // Its legend has styles that the pages' policy forbids; values stand above the charts instead.
    Dygraph.PLUGINS = [Dygraph.Plugins.Axes, Dygraph.Plugins.Grid];
    this.charts = CHARTS.map((shown) => new Chart(Dygraph, this, shown));
    box.replaceChildren(...this.charts.map((chart) => chart.box));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const chart of this.charts) chart.paint();
    });
  }

  /** Shows points: `answer` is that of `series`, `marks` has the times of anomalies by resource. */
  show(answer, marks) {
    // Nothing moves below the pointer while it marks a span.
    if (this.isDragging) return;
    this.times = Array.from({ length: answer.series[0].values.length }, (_, row) => answer.from + row * answer.step);
    this.step = answer.step;
    const series = new Map(answer.series.map((one) => [one.name, one.values]));
    for (const chart of this.charts) chart.show(series, marks);
    this.mark();
  }

  /** The row of the points at a time. */
  row(time) {
    return Math.max(0, Math.min(this.times.length - 1, Math.round((time - this.times[0]) / this.step)));
  }

  /** Draws cursor and span in all charts. */
  mark(active) {
    for (const chart of this.charts) chart.mark();
    if (active) this.status.textContent = active.says();
  }
}

class Chart {
  constructor(Dygraph, all, shown) {
    this.Dygraph = Dygraph;
    this.all = all;
    this.shown = shown;
    this.values = element("p", { className: "values" });
    this.plot = element("div", { className: "plot", tabIndex: 0 });
    this.plot.setAttribute("role", "application");
    this.plot.setAttribute(
      "aria-label", `${shown.title}: arrow keys move, with Shift they mark a span, Enter opens its moment`,
    );
    this.canvas = element("div", { className: "canvas" });
    this.brush = element("div", { className: "brush", hidden: true });
    this.plot.append(this.canvas, this.brush);
    this.marks = document.createElementNS(SVG, "svg");
    this.marks.setAttribute("class", "marks");
    this.marks.setAttribute("role", "img");
    this.box = element(
      "section", { className: "chart" },
      element("div", { className: "head" }, element("h2", { textContent: shown.title }), this.values), this.plot, this.marks,
    );
    this.listen();
  }

  show(series, marks) {
    this.series = this.shown.lines.map((line) => series.get(line.name) ?? []);
    this.times = marks[this.shown.resource];
    const rows = this.all.times.map((time, row) => [new Date(time * 1e3), ...this.series.map((values) => values[row])]);
    if (this.graph) {
      this.graph.updateOptions({ file: rows });
    } else {
      this.graph = new this.Dygraph(this.canvas, rows, this.options());
    }
    this.drawMarks();
  }

  options() {
    const { lines } = this.shown;
    const axis = (line) => ({
      axisLabelFormatter: (value) => (line.axis ?? (line.base ? bytes : axisNumber))(value), axisLabelWidth: line.base ? 62 : 50,
      labelsKMG2: line.base === 2, pixelsPerLabel: 26, includeZero: true,
    });
    return {
      labels: ["time", ...lines.map((line) => line.label)], legend: "never", interactionModel: {}, fillGraph: lines.length === 1,
      fillAlpha: 0.14, strokeWidth: 1.6, highlightCircleSize: 3, includeZero: true, axisLabelFontSize: 11, xRangePad: 0,
      series: lines[1] ? { [lines[1].label]: { axis: "y2" } } : {},
      axes: {
        x: { axisLabelFormatter: (date) => clock(date / 1e3).slice(0, this.all.step * this.all.times.length > 1200 ? 5 : 8), pixelsPerLabel: 74 },
        y: axis(lines[0]), y2: axis(lines[1] ?? lines[0]),
      },
      ...this.colours(),
    };
  }

  colours() {
    return {
      colors: [colour("--series-1"), colour("--series-2")], gridLineColor: colour("--grid"), axisLineColor: colour("--line"),
    };
  }

  /** Draws again in the colours of the scheme. */
  paint() {
    this.graph?.updateOptions(this.colours());
  }

  drawMarks() {
    const [from, to] = [this.all.times[0], this.all.times.at(-1)];
    const within = this.times.filter((mark) => mark.time >= from && mark.time <= to);
    this.marks.setAttribute("aria-label", `${within.length} anomalies`);
    this.marks.replaceChildren(...within.map((mark) => {
      const line = document.createElementNS(SVG, "rect");
      line.setAttribute("x", this.x(mark.time) - 1);
      line.setAttribute("width", 2);
      line.setAttribute("height", 8);
      if (mark.isAny) line.setAttribute("class", "any");
      const title = document.createElementNS(SVG, "title");
      title.textContent = `${clock(mark.time)} ${mark.text}`;
      line.append(title);
      return line;
    }));
  }

  x(time) {
    return this.graph.toDomXCoord(time * 1e3);
  }

  time(event) {
    const area = this.graph.getArea();
    const x = event.clientX - this.plot.getBoundingClientRect().left;
    return this.graph.toDataXCoord(Math.max(area.x, Math.min(area.x + area.w, x))) / 1e3;
  }

  mark() {
    const { cursor, span } = this.all;
    if (!this.graph) return;
    const row = cursor === null ? null : this.all.row(cursor);
    if (row === null) this.graph.clearSelection();
    else this.graph.setSelection(row);
    this.values.replaceChildren(...this.shown.lines.map((line, position) => element(
      "span", { className: `value s${position + 1}` }, `${line.label} `,
      element("b", { textContent: line.format(this.value(position, row)) }),
    )));
    this.brush.hidden = !span;
    if (!span) return;
    const [left, right] = span.map((time) => this.x(time)).sort((one, other) => one - other);
    this.brush.style.left = `${left}px`;
    this.brush.style.width = `${Math.max(1, right - left)}px`;
  }

  /** A line's value at a row; the newest one where that is null. */
  value(position, row) {
    const values = this.series[position];
    return (row === null ? values.findLast((value) => value !== null) : values[row]) ?? null;
  }

  /** What a reader of the screen hears. */
  says() {
    const row = this.all.row(this.all.cursor);
    const values = this.shown.lines.map((line, position) => `${line.label} ${line.format(this.value(position, row))}`);
    const { span } = this.all;
    const marked = span ? `, ${duration(Math.abs(span[1] - span[0]))} marked: Enter opens them` : "";
    return `${this.shown.title}, ${clock(this.all.times[row])}: ${values.join(", ")}${marked}`;
  }

  listen() {
    const { all, plot } = this;
    let begin = null;
    plot.addEventListener("pointerdown", (event) => {
      if (!this.graph || event.button !== 0) return;
      plot.setPointerCapture(event.pointerId);
      begin = { x: event.clientX, time: this.time(event) };
      all.isDragging = true;
      plot.focus({ preventScroll: true });
    });
    plot.addEventListener("pointermove", (event) => {
      if (!this.graph) return;
      all.cursor = this.time(event);
      if (begin && Math.abs(event.clientX - begin.x) >= DRAG_MIN) all.span = [begin.time, all.cursor];
      all.mark();
    });
    const end = (event, isDone) => {
      if (!begin) return;
      const isSpan = Math.abs(event.clientX - begin.x) >= DRAG_MIN;
      begin = null;
      all.isDragging = false;
      if (isDone && isSpan) this.openSpan();
      else all.span = null;
      all.mark();
    };
    plot.addEventListener("pointerup", (event) => end(event, true));
    plot.addEventListener("pointercancel", (event) => end(event, false));
    plot.addEventListener("pointerleave", () => {
      if (begin) return;
      all.cursor = null;
      all.mark();
    });
    plot.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const { all } = this;
    if (!this.graph) return;
    const last = all.times.at(-1);
    const at = all.cursor ?? last;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity }[event.key];
    if (steps !== undefined) {
      const next = Math.max(all.times[0], Math.min(last, at + steps * all.step));
      all.span = event.shiftKey ? [all.span?.[0] ?? at, next] : null;
      all.cursor = next;
    } else if (event.key === "Enter") {
      all.span ??= [at - 5, at + 5];
      this.openSpan();
    } else if (event.key === "Escape") {
      all.span = null;
    } else {
      return;
    }
    event.preventDefault();
    all.cursor ??= at;
    all.mark(this);
  }

  openSpan() {
    const [from, to] = this.all.span.toSorted((one, other) => one - other);
    this.all.open(from, to);
  }
}
