import {
  age, bytes, clock, counting, duration, element, fill, get, moment, momentAddress, named, number, problem,
} from "./api.js";
import { CHARTS, Charts } from "./charts.js";
import { library } from "./library.js";

const POINTS_MS = 2000;
const STATUS_MS = 5000;
const FINDINGS_MS = 3000;
const WINDOWS_MS = 15000;
const DAY_SECONDS = 86400;
// As in the alert rule for silent hosts.
const SILENT_SECONDS = 60;
// Windows are published every five minutes at most: how long a host may be in none where its last batch is not known.
const UNSEEN_SECONDS = 600;
const POINTS_MAX = 600;

const view = document.getElementById("view");
let charts = null;
let last = null;
let incidents = [];
/** Until when, in seconds since the epoch, anomalies are known one by one, and until when windows are published. */
let knownUntil = 0;
let publishedUntil = 0;
/** The hosts of published windows. */
let published = null;

// MARK: Address

function chosen() {
  return { host: view.elements.host.value, last: Number(view.elements.last.value) };
}

function readAddress() {
  const found = new URLSearchParams(location.search);
  choose(found.get("host") ?? "");
  const { last: select } = view.elements;
  select.value = [...select.options].some((option) => option.value === found.get("last")) ? found.get("last") : "900";
}

/** Selects a host, which the list need not know yet. */
function choose(host) {
  const { host: select } = view.elements;
  if (![...select.options].some((option) => option.value === host)) select.append(new Option(host, host));
  select.value = host;
}

view.addEventListener("change", () => {
  const { host, last: span } = chosen();
  const query = new URLSearchParams(host ? { host } : {});
  query.set("last", span);
  history.replaceState(null, "", `?${query}`);
  refresh(points);
  refresh(findings);
});

// MARK: Charts

/** The times of anomalies by resource: those that are known one by one, and behind them seconds in which any were found. */
function marks(answer) {
  const marks = Object.fromEntries(CHARTS.map((chart) => [chart.resource, []]));
  for (const incident of incidents) {
    marks[incident.resource].push({ time: incident.begin_ts_ns / 1e9, text: `${incident.rule}, ${incident.process} on ${incident.host}` });
  }
  const found = answer.series.find((one) => one.name === "anomalies");
  found?.values.forEach((value, row) => {
    const time = answer.from + row * answer.step;
    if (!value || time <= knownUntil) return;
    for (const chart of CHARTS) marks[chart.resource].push({ time, text: "anomalies of any resource", isAny: true });
  });
  return marks;
}

async function points() {
  const { host, last: span } = chosen();
  const to = Math.floor(Date.now() / 1e3);
  const step = Math.max(1, Math.ceil(span / POINTS_MAX));
  const answer = await get("series", { host, from: to - span, to, step });
  // Another view may have been chosen meanwhile.
  if (host !== chosen().host || span !== chosen().last) return;
  charts?.show(answer, marks(answer));
  measures(answer);
}

/** The table beside the charts: each measure's newest, mean and greatest value. */
function measures(answer) {
  const series = new Map(answer.series.map((one) => [one.name, one.values]));
  const rows = CHARTS.flatMap((chart) => chart.lines.map((line) => {
    const values = series.get(line.name) ?? [];
    const known = values.filter((value) => value !== null);
    const most = known.length ? Math.max(...known) : null;
    const at = answer.from + values.indexOf(most) * answer.step;
    const link = most === null ? "–" : element("a", {
      href: momentAddress({ from: at - 5, to: at + answer.step + 5, host: chosen().host }), textContent: clock(at),
    });
    const mean = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    return [`${chart.title}: ${line.label}`, line.format(known.at(-1) ?? null), line.format(mean), line.format(most), link];
  }));
  fill(document.getElementById("measures"), [
    { title: "measure" }, { title: "now", isNumber: true }, { title: "mean", isNumber: true },
    { title: "greatest", isNumber: true }, { title: "at" },
  ], rows);
}

// MARK: Health

function health(status) {
  const now = performance.now();
  const isLater = last && status.received_events >= last.count;
  const rate = isLater ? Math.round((status.received_events - last.count) / ((now - last.at) / 1e3)) : null;
  last = { count: status.received_events, at: now };
  const lag = status.workers.reduce((sum, worker) => sum + worker.lag_bytes, 0);
  const lost = status.rejected_events + status.dead_lettered_events + status.lost_rows;
  const parts = [
    status.router.accepting ? "accepting batches" : "not accepting batches",
    rate === null ? null : `${number(rate)} events/s`,
    `workers ${bytes(lag)} behind`,
    lost ? `${number(lost)} events refused or lost` : "nothing refused or lost",
    status.uncertain_events ? `${number(status.uncertain_events)} events perhaps lost with the log` : null,
    status.merging.waiting_windows ? `${number(status.merging.waiting_windows)} windows wait to be merged` : null,
  ];
  document.getElementById("health").replaceChildren(
    element("span", { className: status.ready ? "good" : "bad", textContent: status.ready ? "Ready" : "Not ready" }),
    ...parts.filter((part) => part).map((part) => ` · ${part}`),
    ...status.problems.map((text) => element("span", { className: "bad", textContent: ` · ${text}` })),
  );
  document.getElementById("counts").textContent = `${number(status.received_events)} events received, `
    + `${number(status.written_events)} written, ${number(status.deduplicated_events)} deduplicated, `
    + `${number(status.rejected_events)} rejected, ${number(status.dead_lettered_events)} dead-lettered, `
    + `${number(status.lost_rows)} rows lost.`;
  fill(
    document.getElementById("workers"),
    [{ title: "name" }, { title: "state" }, { title: "pid", isNumber: true }, { title: "behind", isNumber: true },
      { title: "restarts", isNumber: true }],
    [
      ["router", status.router.up ? "up" : "down", number(status.router.pid), "–", "–"],
      ...status.workers.map((worker) => [
        worker.name, worker.up ? "up" : worker.lost ? `down for good: ${worker.lost}` : "down", number(worker.pid),
        bytes(worker.lag_bytes), number(worker.restarts),
      ]),
    ],
  );
}

// MARK: Hosts and windows

/** Joins the hosts of published windows with when the last batch of each came; hosts without a window have only that. */
function joined(published, batches) {
  const rows = new Map(published.map((host) => [host.host, { ...host, seen: host.last_ts_ns, limit: UNSEEN_SECONDS }]));
  for (const { host, last_batch_ts_ns: seen } of batches) {
    rows.set(host, { host, resources: [], ...rows.get(host), seen, limit: SILENT_SECONDS });
  }
  return [...rows.values()].sort((one, other) => (one.host < other.host ? -1 : 1));
}

function hosts(answer, batches) {
  const isSilent = (host) => Date.now() / 1e3 - host.seen / 1e9 > host.limit;
  const sorted = joined(answer.hosts, batches).sort((one, other) => isSilent(other) - isSilent(one));
  document.getElementById("hosts-note").textContent = sorted.length
    ? `${counting(sorted.length, "host")}; events and processes are those in the ${counting(answer.windows, "window")} of the last day`
      + `${answer.complete ? "" : ", of each the busiest processes"}.`
    : "No host has sent anything in the last day.";
  const silent = sorted.filter(isSilent);
  const line = document.getElementById("silent");
  line.hidden = !silent.length;
  line.replaceChildren(
    `${number(silent.length)} silent: `,
    ...silent.slice(0, 8).flatMap((host, position) => [position ? ", " : "", named(host.host), ` (${age(host.seen)})`]),
    silent.length > 8 ? ", …" : "",
  );
  fill(
    document.getElementById("hosts"),
    [{ title: "host" }, { title: "last seen" }, { title: "events", isNumber: true }, { title: "processes", isNumber: true },
      { title: "resources" }],
    sorted.map((host) => [
      element("a", { href: `/?${new URLSearchParams({ host: host.host, last: chosen().last })}` }, named(host.host)),
      element("a", {
        className: isSilent(host) ? "bad" : "",
        href: momentAddress({ from: host.seen / 1e9 - 60, to: host.seen / 1e9, host: host.host }),
        textContent: `${isSilent(host) ? "silent, " : ""}${age(host.seen)}`,
      }),
      number(host.events), number(host.processes), host.resources.join(", "),
    ]),
  );
  const known = new Set([...view.elements.host.options].map((option) => option.value));
  view.elements.host.append(...sorted.filter((host) => !known.has(host.host)).map((host) => new Option(host.host, host.host)));
}

function newest(answer) {
  const rows = new Map();
  for (const file of answer.files) {
    const key = `${file.resource} ${file.window}`;
    const row = rows.get(key) ?? { file, count: 0, bytes: 0 };
    row.count += 1;
    row.bytes += file.bytes;
    rows.set(key, row);
  }
  fill(
    document.getElementById("windows"),
    [{ title: "resource" }, { title: "window", isNumber: true }, { title: "first event" }, { title: "lasted", isNumber: true },
      { title: "events", isNumber: true }, { title: "files", isNumber: true }, { title: "size", isNumber: true }],
    [...rows.values()].slice(0, 24).map(({ file, count, bytes: size }) => [
      file.resource, String(file.window),
      element("a", {
        href: momentAddress({ from: file.first_ts_ns / 1e9, to: file.last_ts_ns / 1e9 }), textContent: moment(file.first_ts_ns),
      }),
      duration((file.last_ts_ns - file.first_ts_ns) / 1e9), number(file.events), number(count), bytes(size),
    ]),
  );
}

async function windows() {
  const now = Math.floor(Date.now() / 1e3);
  const [files, seen, batches] = await Promise.all([
    get("files", { limit: 200 }), get("hosts", { from: now - DAY_SECONDS }), lastBatches(),
  ]);
  newest(files);
  published = seen;
  hosts(published, batches);
  publishedUntil = Math.max(0, ...files.files.map((file) => (file.last_ts_ns ?? 0) / 1e9));
}

/** When the last batch of each host came; without the aggregator, the windows have to do. */
async function lastBatches() {
  try {
    return (await get("batches")).hosts;
  } catch {
    return [];
  }
}

/** The anomalies of the span, also of the open window. */
async function findings() {
  const { host, last: span } = chosen();
  const found = await get("anomalies", { from: Math.floor(Date.now() / 1e3) - span, host, limit: 500 });
  if (host !== chosen().host || span !== chosen().last) return;
  incidents = found.incidents;
  knownUntil = Math.max(publishedUntil, ...incidents.map((incident) => incident.end_ts_ns / 1e9));
}

// MARK: Refreshing

/** Does something that shows an answer, and shows what is wrong. */
async function refresh(show) {
  try {
    await show();
    problem(null);
  } catch (error) {
    problem(error);
  }
}

/** Repeats something that shows an answer, while the page is visible; what reads many files, for a tenth of the time at most. */
async function repeat(show, milliseconds, isCostly = false) {
  for (;;) {
    const began = performance.now();
    if (!document.hidden) await refresh(show);
    const pause = isCostly ? Math.max(milliseconds, 9 * (performance.now() - began)) : milliseconds;
    await new Promise((resume) => { setTimeout(resume, pause); });
  }
}

readAddress();
repeat(async () => {
  health(await get("status"));
  if (published) hosts(published, await lastBatches());
}, STATUS_MS);
repeat(windows, WINDOWS_MS);
repeat(findings, FINDINGS_MS, true);
const Dygraph = await library("Dygraph", document.getElementById("library"));
if (Dygraph) {
  const open = (from, to) => location.assign(momentAddress({ from, to, host: chosen().host }));
  charts = new Charts(Dygraph, document.getElementById("charts"), document.getElementById("cursor"), open);
} else {
  document.getElementById("cursor").hidden = true;
  document.getElementById("table").open = true;
}
repeat(points, POINTS_MS);
