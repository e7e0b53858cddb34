// A flame graph, outermost calls at the top: width is time. Click or Enter zooms, arrow keys move, names can be searched.

import { element, number } from "./api.js";

const ROW = 20;
const WIDTH_MIN = 1;
const FRAMES_MAX = 6000;
/** Width of a character of the frames' monospaced font. */
const CHARACTER = 6.7;
const COLOURS = 8;

/** Shows a tree of nodes {name, width, children, kind, text, sign, change}: `kind` is a class, `text` makes what is said of a
 * frame, `sign` and `change` stand around the name of one that differs. */
export class Flame {
  constructor(d3, box) {
    this.d3 = d3;
    this.says = element("p", { className: "frame-text" });
    this.says.setAttribute("role", "status");
    this.search = element("input", { type: "search", placeholder: "function", autocomplete: "off" });
    this.reset = element("button", { type: "button", textContent: "Show all" });
    this.found = element("span", { className: "soft" });
    this.area = element("div", { className: "flame", tabIndex: 0 });
    this.area.setAttribute("role", "application");
    this.area.setAttribute(
      "aria-label", "Flame graph: down and up move to callees and callers, left and right to siblings, Enter zooms, Escape shows all",
    );
    box.replaceChildren(
      element("div", { className: "tools" }, element("label", {}, "Find ", this.search), this.reset, this.found),
      this.area, this.says,
    );
    this.svg = d3.select(this.area).append("svg");
    this.search.addEventListener("input", () => this.draw());
    this.reset.addEventListener("click", () => this.zoom(this.frames[0]));
    this.area.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.frames && this.draw()).observe(this.area);
  }

  show(root) {
    this.frames = laidOut(root);
    this.total = this.frames[0].x1;
    this.zoom(this.frames[0]);
  }

  /** Searches for a function, as if its name had been typed. */
  find(name) {
    this.search.value = name;
    this.draw();
    this.area.scrollIntoView({ block: "nearest" });
  }

  zoom(frame) {
    this.focus = frame;
    this.select(frame);
  }

  select(frame) {
    this.current = frame;
    this.says.replaceChildren(...frame.node.text(frame));
    this.draw();
  }

  /** The frames that are wide enough, outermost first. */
  visible(scale) {
    const shown = [];
    const queue = [this.frames[0]];
    for (let next = 0; next < queue.length && shown.length < FRAMES_MAX; next += 1) {
      const frame = queue[next];
      const [left, right] = [Math.max(0, scale(frame.x0)), Math.min(this.width, scale(frame.x1))];
      if (right - left < WIDTH_MIN) continue;
      shown.push({ frame, left, width: right - left });
      queue.push(...frame.children);
    }
    return shown;
  }

  draw() {
    this.width = this.area.clientWidth;
    if (!this.width || !this.frames) return;
    const scale = this.d3.scale.linear().domain([this.focus.x0, this.focus.x1]).range([0, this.width]);
    const shown = this.visible(scale);
    const isHit = this.matcher();
    this.svg.attr("width", this.width).attr("height", (Math.max(...shown.map((one) => one.frame.depth)) + 1) * ROW);
    const boxes = this.svg.selectAll("svg").data(shown, (one) => one.frame.id);
    const added = boxes.enter().append("svg");
    added.append("rect");
    added.append("text");
    added.append("title");
    added.on("click", (one) => this.zoom(one.frame)).on("mousemove", (one) => {
      this.says.replaceChildren(...one.frame.node.text(one.frame));
    });
    boxes.exit().remove();
    // Nested pictures, so that no name is wider than its frame, whatever its characters take.
    boxes.attr("x", (one) => one.left).attr("y", (one) => one.frame.depth * ROW).attr("width", (one) => one.width)
      .attr("height", ROW).attr("class", (one) => this.classes(one.frame, isHit));
    boxes.select("rect").attr("width", (one) => Math.max(WIDTH_MIN, one.width - 1)).attr("height", ROW - 1);
    boxes.select("text").attr("x", 4).attr("y", ROW - 6).text((one) => fitting(label(one.frame), one.width));
    boxes.select("title").text((one) => one.frame.name);
    this.count(isHit);
  }

  classes(frame, isHit) {
    const classes = ["frame", frame.node.kind];
    if (isHit) classes.push(isHit(frame) ? "hit" : "miss");
    if (frame.depth < this.focus.depth) classes.push("above");
    if (frame === this.current) classes.push("current");
    return classes.join(" ");
  }

  matcher() {
    const text = this.search.value.toLowerCase();
    return text ? (frame) => frame.node.kind !== "group" && frame.name.toLowerCase().includes(text) : null;
  }

  /** Says how much of the time is in frames that were searched for; what is inside one of them counts once. */
  count(isHit) {
    this.found.textContent = "";
    if (!isHit) return;
    let [frames, width] = [0, 0];
    const open = [this.frames[0]];
    while (open.length) {
      const frame = open.pop();
      if (isHit(frame)) {
        frames += 1;
        width += frame.x1 - frame.x0;
      } else {
        open.push(...frame.children);
      }
    }
    this.found.textContent = `${number(frames)} found, ${percent(width, this.total)} of the time`;
  }

  press(event) {
    const { current } = this;
    if (!current) return;
    // What is too narrow to be seen can't be selected before its caller is zoomed.
    const least = (this.focus.x1 - this.focus.x0) / this.width;
    const seen = (frames) => frames.filter((frame) => frame.x1 - frame.x0 >= least * WIDTH_MIN);
    const siblings = current.parent ? seen(current.parent.children) : [current];
    const at = siblings.indexOf(current);
    const moves = {
      ArrowUp: () => current.parent,
      ArrowDown: () => seen(current.children).toSorted((one, other) => other.x1 - other.x0 - (one.x1 - one.x0))[0],
      ArrowLeft: () => siblings[at - 1],
      ArrowRight: () => siblings[at + 1],
      Home: () => this.frames[0],
    };
    if (event.key in moves) {
      const next = moves[event.key]();
      if (next) this.select(next);
    } else if (event.key === "Enter" || event.key === " ") {
      this.zoom(current);
    } else if (event.key === "Escape") {
      this.zoom(this.frames[0]);
    } else {
      return;
    }
    event.preventDefault();
    this.area.querySelector(".current")?.scrollIntoView({ block: "nearest" });
  }
}

/** Gives each frame its place. Trees may be deep, so nothing calls itself. */
function laidOut(root) {
  const frames = [];
  const open = [{ node: root, parent: null, x0: 0, depth: 0 }];
  while (open.length) {
    const { node, parent, x0, depth } = open.pop();
    const frame = { id: frames.length, name: node.name, node, parent, depth, x0, x1: x0 + node.width, children: [] };
    frames.push(frame);
    parent?.children.push(frame);
    let left = x0;
    const inner = [];
    for (const child of node.children) {
      inner.push({ node: child, parent: frame, x0: left, depth: depth + 1 });
      left += child.width;
    }
    open.push(...inner.reverse());
  }
  return frames;
}

function label(frame) {
  const { sign, change } = frame.node;
  return sign ? `${sign} ${frame.name} ${change}` : frame.name;
}

function fitting(text, width) {
  const most = Math.floor((width - 6) / CHARACTER);
  if (most < 2) return "";
  // A prefix first: a name may be long.
  const characters = [...text.slice(0, 2 * most + 2)];
  return characters.length <= most ? characters.join("") : `${characters.slice(0, most - 1).join("")}…`;
}

export function percent(part, whole) {
  return whole > 0 ? `${((part * 100) / whole).toFixed(1)} %` : "–";
}

/** A colour of its own for each name. */
export function colourOf(name) {
  let hash = 0;
  for (let place = 0; place < name.length && place < 64; place += 1) hash = (hash * 31 + name.charCodeAt(place)) >>> 0;
  return `c${hash % COLOURS}`;
}
