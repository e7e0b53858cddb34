import {
  address, bar, bytes, counting, duration, element, field, fill, get, moment, momentAddress, named, number, problem, seconds,
} from "./api.js";
import { colourOf, Flame, percent } from "./flame.js";
import { counted, incidents } from "./incidents.js";
import { library } from "./library.js";
import { perfettoButton } from "./perfetto.js";
import { milliseconds, notices, paths } from "./profile.js";

const FUNCTIONS = 100;
const SHOWN = 10;
const PROCESSES = 8;
/** What is shown where the address says no time. */
const USUAL_SECONDS = 300;

const form = document.getElementById("span");
const note = document.getElementById("note");

// MARK: Address

function readAddress() {
  const found = new URLSearchParams(location.search);
  const to = found.get("to") || String(Math.ceil(Date.now() / 1e3));
  const from = found.get("from") || seconds(Number(to) - USUAL_SECONDS);
  return { from, to, host: found.get("host") ?? "", pid: found.get("pid") ?? "" };
}

const view = readAddress();
const [from, to] = [Number(view.from), Number(view.to)];
history.replaceState(null, "", momentAddress(view));

function fillForm() {
  const { elements } = form;
  [elements.from.value, elements.to.value] = [field(from), field(to)];
  [elements.host.value, elements.pid.value] = [view.host, view.pid];
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // A field has milliseconds, the address may have more: what was not touched stays.
    const read = (name) => (elements[name].value === field(Number(view[name]))
      ? view[name] : seconds(new Date(elements[name].value).getTime() / 1e3));
    location.assign(momentAddress({ from: read("from"), to: read("to"), host: elements.host.value, pid: elements.pid.value }));
  });
  const length = to - from;
  const link = (text, title, one, other) => element("a", {
    textContent: text, title, href: momentAddress({ ...view, from: one, to: other }),
  });
  document.getElementById("steps").append(
    link("← earlier", "The span before", from - length, from), " ", link("later →", "The span after", to, to + length), " ",
    link("wider", "Twice as long", from - length / 2, to + length / 2), " ",
    link("narrower", "The middle half", from + length / 4, to - length / 4),
  );
}

function describe() {
  const what = [`${moment(from * 1e9)} to ${moment(to * 1e9)}, ${duration(to - from)}, `];
  if (view.pid) what.push(`process ${view.pid} `);
  what.push(view.host ? "of host " : "of all hosts");
  if (view.host) what.push(named(view.host));
  document.getElementById("what").replaceChildren(...what);
  const length = to - from;
  const side = (one, other) => `${seconds(one)}..${seconds(other)}`;
  const compared = new URLSearchParams({ a: side(from - length, from), b: side(from, to) });
  if (view.host) compared.set("host", view.host);
  if (view.pid) compared.set("pid", view.pid);
  const trace = address("trace", view);
  document.getElementById("actions").replaceChildren(
    perfettoButton(trace, `Moment ${moment(from * 1e9)}`),
    element("a", { className: "button", href: trace, download: "", textContent: "Download trace" }),
    element("a", { className: "button", href: `/compare?${compared}`, textContent: "Compare with the span before" }),
  );
  const links = [["call paths, folded", "folded"], ["pprof", "pprof"], ["speedscope", "speedscope"], ["SVG", "svg"]];
  document.getElementById("downloads").replaceChildren(
    element("a", { href: trace, download: "", textContent: "trace, JSON" }),
    ...links.flatMap(([text, format]) => [
      " · ", element("a", { href: address("flame", { ...view, format }), download: "", textContent: text }),
    ]),
    " · ", element("a", { href: `/files?${new URLSearchParams({ from: field(from), to: field(to) })}`, textContent: "files with CSV" }),
  );
}

// MARK: Functions

function functions(answer, flame) {
  const all = answer.coverage.self_ms;
  const most = Math.max(...answer.functions.map((one) => one.self_ms), 1e-9);
  fill(document.getElementById("functions"), [
    { title: "function" }, { title: "self ms", isNumber: true }, { title: "self %", isNumber: true },
    { title: "total ms", isNumber: true }, { title: "calls", isNumber: true }, { title: "p99 ms", isNumber: true },
  ], answer.functions.map((one) => {
    const name = element("button", { type: "button", className: "link", title: "Find in the flame graph" }, named(one.function));
    name.addEventListener("click", () => flame()?.find(one.function));
    return [name, bar(milliseconds(one.self_ms), one.self_ms / most), percent(one.self_ms, all), milliseconds(one.total_ms),
      number(one.calls), one.p99_ms === undefined ? "–" : milliseconds(one.p99_ms)];
  }), SHOWN);
  note.textContent = `${duration(all / 1e3)} in functions, in ${counting(answer.coverage.windows, "window")}.`;
  notices(document.getElementById("notices"), [{ coverage: answer.coverage }]);
}

// MARK: Flame graph

/** Makes the frames of a call tree, whose first two levels below the root are hosts and processes. */
function frames(root) {
  const frame = (node, level) => ({
    name: node.name, width: node.total_ns, children: [], kind: level < 3 ? "group" : colourOf(node.name),
    text: (placed) => described(placed, node, root),
  });
  const top = frame(root, 0);
  const open = [{ node: root, made: top, level: 0 }];
  while (open.length) {
    const { node, made, level } = open.pop();
    for (const child of node.children ?? []) {
      const inner = frame(child, level + 1);
      made.children.push(inner);
      open.push({ node: child, made: inner, level: level + 1 });
    }
  }
  return top;
}

function described(placed, node, root) {
  const place = [];
  for (let above = placed.parent; above?.parent; above = above.parent) place.push(above.name);
  const numbers = `: total ${milliseconds(node.total_ns / 1e6)} ms (${percent(node.total_ns, root.total_ns)}), `
    + `self ${milliseconds(node.self_ns / 1e6)} ms${node.calls ? `, ${number(node.calls)} calls` : ""}`;
  const within = place.length > 1 ? [" in ", named(place.slice(-2).join(" on "))] : [];
  return [named(node.name), ...within, numbers];
}

// MARK: Processes

const BYTES = (name) => (row) => bytes(row[name]);
const LISTS = [
  { title: "CPU", resource: "cpu", top: "highest_utilization",
    columns: [["mean", (row) => `${row.mean_utilization_percent?.toFixed(1) ?? "–"} %`], ["most", (row) => `${row.max_utilization_percent.toFixed(1)} %`]] },
  { title: "Memory", resource: "memory", top: "largest", columns: [["last", BYTES("current_bytes")], ["most", BYTES("max_bytes")]] },
  { title: "Network", resource: "network", top: "top_talkers", columns: [["sent", BYTES("tx_bytes")], ["received", BYTES("rx_bytes")]] },
  { title: "I/O", resource: "io", top: "busiest", columns: [["read", BYTES("read_bytes")], ["written", BYTES("write_bytes")]] },
];

function processes(answer) {
  const found = new Map(answer.summaries.map((summary) => [summary.resource, summary.tables]));
  const isWanted = (row) => (!view.host || row.host === view.host) && (!view.pid || String(row.pid) === view.pid);
  const place = (row) => element("a", {
    href: momentAddress({ ...view, host: row.host, pid: row.pid }),
  }, named(row.process), element("span", { className: "soft" }, ` ${row.pid} on `, named(row.host)));
  const list = (title, rows, columns, name) => {
    const table = element("table");
    fill(table, [{ title: name }, ...columns.map(([column]) => ({ title: column, isNumber: true }))],
      rows.map((row) => [name === "process" ? place(row) : named(row.connection), ...columns.map(([, text]) => text(row))]));
    return element("section", {}, element("h3", { textContent: title }),
      rows.length ? table : element("p", { className: "soft", textContent: "Nothing." }));
  };
  const rows = (resource, table, top) => (found.get(resource)?.[table]?.top[top] ?? []).filter(isWanted).slice(0, PROCESSES);
  document.getElementById("processes").replaceChildren(
    ...LISTS.map((one) => list(one.title, rows(one.resource, "processes", one.top), one.columns, "process")),
    list("Connections", rows("network", "connections", "top_talkers"), [["sent", BYTES("sent_bytes")], ["received", BYTES("received_bytes")]], "connection"),
  );
}

// MARK: Loading

/** Shows one part of the page; what fails is said, and the other parts are shown. */
async function part(show) {
  try {
    await show();
  } catch (error) {
    note.textContent = "";
    problem(error);
  }
}

fillForm();
describe();
let flame = null;
await Promise.all([
  part(async () => functions(await get("top", { ...view, limit: FUNCTIONS }), () => flame)),
  part(async () => {
    const box = document.getElementById("flame");
    const [d3, root] = await Promise.all([library("d3", document.getElementById("library")), get("flame", view)]);
    if (!root.total_ns) {
      box.replaceChildren(element("p", { className: "soft", textContent: "Nothing." }));
    } else if (d3) {
      flame = new Flame(d3, box);
      flame.show(frames(root));
    } else {
      paths(box, root, (node) => node.self_ns / 1e6, "self ms");
    }
  }),
  part(async () => processes(await get("summary", { from: view.from, to: view.to, top: 100 }))),
  part(async () => {
    const answer = await get("anomalies", { ...view, limit: 200 });
    document.getElementById("anomalies-note").textContent = counted(answer);
    incidents(document.getElementById("incidents"), answer, SHOWN);
  }),
]);
document.body.dataset.state = "complete";
