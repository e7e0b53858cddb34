import { bar, element, field, fill, get, moment, named, number, problem, seconds, short } from "./api.js";
import { Flame } from "./flame.js";
import { library } from "./library.js";
import { notices, paths } from "./profile.js";

const FUNCTIONS = 100;
const SHOWN = 20;
/** A difference is one of these parts of the greater side at least; its colour says which. */
const STEPS = [0.05, 0.2, 0.5, 0.9];

const form = document.getElementById("sides");
const note = document.getElementById("note");

// MARK: Address: a=FROM..TO@HOST, as the endpoint has it

function side(text, host) {
  const at = text.indexOf("@");
  const span = at < 0 ? text : text.slice(0, at);
  const dots = span.indexOf("..");
  return {
    text, host: at < 0 ? host : text.slice(at + 1),
    from: dots < 0 ? "" : span.slice(0, dots), to: dots < 0 ? "" : span.slice(dots + 2), window: dots < 0 ? span : "",
  };
}

const found = new URLSearchParams(location.search);
const view = {
  a: side(found.get("a") ?? "", found.get("host") ?? ""), b: side(found.get("b") ?? "", found.get("host") ?? ""),
  pid: found.get("pid") ?? "",
};

function fillForm() {
  const { elements } = form;
  for (const name of ["a", "b"]) {
    for (const end of ["from", "to"]) if (view[name][end]) elements[`${name}-${end}`].value = field(Number(view[name][end]));
    elements[`${name}-host`].value = view[name].host;
    elements[`${name}-window`].addEventListener("change", (event) => {
      const [from, to] = event.target.value.split("..");
      [elements[`${name}-from`].value, elements[`${name}-to`].value] = from ? [field(Number(from)), field(Number(to))] : ["", ""];
    });
  }
  elements.pid.value = view.pid;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = (name) => {
      const end = (which) => {
        const { value } = elements[`${name}-${which}`];
        const known = view[name][which];
        if (known && value === field(Number(known))) return known;
        return value ? seconds(new Date(value).getTime() / 1e3) : "";
      };
      const host = elements[`${name}-host`].value;
      return `${end("from")}..${end("to")}${host ? `@${host}` : ""}`;
    };
    const query = new URLSearchParams({ a: text("a"), b: text("b") });
    if (elements.pid.value) query.set("pid", elements.pid.value);
    location.assign(`/compare?${query}`);
  });
}

/** Offers the newest windows, so that nobody has to type times. */
async function offerWindows() {
  const answer = await get("files", { resource: "function", limit: 500 });
  const windows = new Map(answer.files.map((file) => [file.window, file]));
  for (const name of ["a", "b"]) {
    form.elements[`${name}-window`].append(...[...windows.values()].slice(0, 50).map((file) => new Option(
      `${moment(file.first_ts_ns)}, ${number(file.events)} events`,
      // To the millisecond around all events, as the fields have it.
      `${Math.floor(file.first_ts_ns / 1e6) / 1e3}..${Math.ceil(file.last_ts_ns / 1e6) / 1e3}`,
    )));
  }
}

// MARK: Functions

function change(before, after) {
  if (!before) return "new";
  if (!after) return "gone";
  const part = (after - before) / before;
  return `${part > 0 ? "+" : ""}${(part * 100).toFixed(Math.abs(part) < 0.1 ? 1 : 0)} %`.replace("-", "−");
}

const signed = (value) => `${value > 0 ? "+" : ""}${short(value)}`.replace("-", "−");

function functions(answer) {
  const rows = answer.functions.toSorted((one, other) => other.difference_ms_per_second - one.difference_ms_per_second);
  const most = Math.max(...rows.map((row) => Math.abs(row.difference_ms_per_second)), 1e-9);
  fill(document.getElementById("functions"), [
    { title: "function", isName: true }, { title: "adds ms/s", isNumber: true }, { title: "change", isNumber: true },
    { title: "a, ms/s", isNumber: true }, { title: "b, ms/s", isNumber: true }, { title: "calls in a", isNumber: true },
    { title: "calls in b", isNumber: true },
  ], rows.map((row) => [
    row.function, bar(
      signed(row.difference_ms_per_second), row.difference_ms_per_second / most,
      row.difference_ms_per_second > 0 ? "more" : "less",
    ),
    change(row.self_ms_per_second_against, row.self_ms_per_second), short(row.self_ms_per_second_against),
    short(row.self_ms_per_second), number(row.against?.calls ?? 0), number(row.now?.calls ?? 0),
  ]), SHOWN);
  const total = (coverage) => coverage.self_ms / lasted(coverage);
  const [before, after] = [total(answer.against), total(answer.coverage)];
  note.textContent = `Time in functions: ${short(before)} ms/s before, ${short(after)} ms/s now (${change(before, after)}). `
    + "Self times, by second of what the windows cover.";
  notices(document.getElementById("notices"), [
    { coverage: answer.against, side: "Before" }, { coverage: answer.coverage, side: "Now" },
  ]);
}

/** Seconds that the windows cover. */
function lasted(coverage) {
  return Math.max(1e-9, (coverage.last_ts_ns - coverage.first_ts_ns) / 1e9);
}

// MARK: Flame graph

/** Adds the tree of a side to the one of both. Times become milliseconds a second. */
function add(both, root, side) {
  const scale = 1 / 1e6 / lasted(root.coverage);
  const open = [{ node: root, into: both }];
  while (open.length) {
    const { node, into } = open.pop();
    into[side].self += node.self_ns * scale;
    into[side].total += node.total_ns * scale;
    into[side].calls += node.calls;
    for (const child of node.children ?? []) {
      if (!into.byName.has(child.name)) into.byName.set(child.name, joined(child.name));
      open.push({ node: child, into: into.byName.get(child.name) });
    }
  }
}

function joined(name) {
  const none = () => ({ self: 0, total: 0, calls: 0 });
  return { name, a: none(), b: none(), byName: new Map() };
}

/** Gives nodes their widths, so that what is new and what is gone both have one: the greater self time of the sides, and
 * the widths of what is inside. */
function measured(root) {
  const order = [root];
  for (const node of order) {
    node.children = [...node.byName.values()];
    order.push(...node.children);
  }
  for (const node of order.reverse()) {
    node.width = node.children.reduce((sum, child) => sum + child.width, Math.max(node.a.self, node.b.self));
    const difference = node.b.total - node.a.total;
    const part = Math.abs(difference) / Math.max(node.a.total, node.b.total, 1e-12);
    const step = STEPS.filter((least) => part >= least).length;
    node.kind = step ? `${difference > 0 ? "slower" : "faster"}${step}` : "same";
    if (step) [node.sign, node.change] = [difference > 0 ? "▲" : "▼", change(node.a.total, node.b.total)];
    node.text = () => [
      named(node.name), `: ${short(node.a.total)} ms/s before, ${short(node.b.total)} ms/s now `
        + `(${signed(difference)}, ${change(node.a.total, node.b.total)}); calls ${number(node.a.calls)} and ${number(node.b.calls)}`,
    ];
  }
  return root;
}

function legend() {
  const swatch = (kind, text) => element("span", { className: `swatch ${kind}`, textContent: text });
  const percents = STEPS.map((least) => `${least * 100} %`);
  document.getElementById("legend").replaceChildren(
    "▲ slower by at least ", ...percents.map((text, place) => swatch(`slower${place + 1}`, text)),
    " ▼ faster by at least ", ...percents.map((text, place) => swatch(`faster${place + 1}`, text)),
    " or ", swatch("same", "about the same"), ". Width: the greater of both times.",
  );
}

const query = (one) => ({ from: one.from, to: one.to, window: one.window, host: one.host, pid: view.pid });

async function compare() {
  note.textContent = "Loading…";
  const sides = { a: view.a.text, b: view.b.text, pid: view.pid, host: found.get("host") ?? "" };
  const [answer, before, after, d3] = await Promise.all([
    get("diff", { ...sides, limit: FUNCTIONS }), get("flame", query(view.a)), get("flame", query(view.b)),
    library("d3", document.getElementById("library")),
  ]);
  document.getElementById("result").hidden = false;
  functions(answer);
  const both = joined("all");
  add(both, before, "a");
  add(both, after, "b");
  measured(both);
  if (d3) {
    legend();
    new Flame(d3, document.getElementById("flame")).show(both);
  } else {
    paths(document.getElementById("flame"), both, (node) => node.b.self - node.a.self, "adds ms/s");
  }
}

fillForm();
try {
  await Promise.all([offerWindows(), view.a.text && view.b.text ? compare() : null]);
} catch (error) {
  note.textContent = "";
  problem(error);
}
document.body.dataset.state = "complete";
