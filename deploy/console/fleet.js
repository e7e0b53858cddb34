import { age, bytes, fill, get, moment, number, problem } from "./api.js";

const INTERVAL_MS = 5000;
const DAY_SECONDS = 86400;
// Windows are published every five minutes at most, so a host of which none came for longer is silent.
const SILENT_SECONDS = 600;

let last = null;

function health(status) {
  const now = performance.now();
  const rate = last && status.received_events >= last.count
    ? Math.round((status.received_events - last.count) / ((now - last.at) / 1e3)) : null;
  last = { count: status.received_events, at: now };
  const lag = status.workers.reduce((sum, worker) => sum + worker.lag_bytes, 0);
  const line = document.getElementById("health");
  const state = document.createElement("span");
  state.className = status.ready ? "good" : "bad";
  state.textContent = status.ready ? "Ready" : "Not ready";
  line.replaceChildren(
    state,
    `, ${status.router.accepting ? "accepting batches" : "not accepting batches"}. `
      + `${rate === null ? "" : `${number(rate)} events/s. `}`
      + `${number(status.received_events)} events received, ${number(status.written_events)} written, `
      + `${number(status.deduplicated_events)} deduplicated, ${number(status.rejected_events)} rejected, `
      + `${number(status.dead_lettered_events)} dead-lettered, ${number(status.lost_rows)} rows lost. `
      + `Workers are ${bytes(lag)} behind; ${number(status.merging.waiting_windows)} windows wait to be merged.`,
    ...status.problems.map((text) => {
      const span = document.createElement("span");
      span.className = "bad";
      span.textContent = ` ${text}.`;
      return span;
    }),
  );
  fill(
    document.getElementById("workers"),
    [{ title: "name" }, { title: "state" }, { title: "pid", isNumber: true }, { title: "lag", isNumber: true },
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

function hosts(answer) {
  document.getElementById("hosts-note").textContent = answer.hosts.length
    ? `Of the ${answer.windows} windows of the last day${answer.complete ? "" : ", the busiest processes of each"}.`
    : "No window of the last day has been published yet.";
  fill(
    document.getElementById("hosts"),
    [{ title: "host", isName: true }, { title: "last seen" }, { title: "events", isNumber: true },
      { title: "processes", isNumber: true }, { title: "resources" }],
    answer.hosts.map((host) => {
      const seen = document.createElement("span");
      const isSilent = Date.now() / 1e3 - host.last_ts_ns / 1e9 > SILENT_SECONDS;
      seen.textContent = `${isSilent ? "silent, " : ""}${age(host.last_ts_ns)}`;
      if (isSilent) seen.className = "bad";
      return [host.host, seen, number(host.events), number(host.processes), host.resources.join(", ")];
    }),
  );
}

function windows(answer) {
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
    [{ title: "resource" }, { title: "window", isNumber: true }, { title: "first event" }, { title: "last event" },
      { title: "events", isNumber: true }, { title: "files", isNumber: true }, { title: "size", isNumber: true }],
    [...rows.values()].slice(0, 24).map(({ file, count, bytes: size }) => [
      file.resource, String(file.window), moment(file.first_ts_ns), moment(file.last_ts_ns), number(file.events),
      number(count), bytes(size),
    ]),
  );
}

async function refresh() {
  try {
    const from = String(Math.floor(Date.now() / 1e3) - DAY_SECONDS);
    const [status, fleet, files] = await Promise.all([get("status"), get("hosts", { from }), get("files", { limit: "200" })]);
    health(status);
    hosts(fleet);
    windows(files);
    problem(null);
  } catch (error) {
    problem(error);
  }
  setTimeout(refresh, INTERVAL_MS);
}

refresh();
