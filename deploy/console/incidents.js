// The table of incidents: findings of one rule, host and process that follow one another.

import { element, fill, moment, momentAddress, number } from "./api.js";

const COLUMNS = [
  { title: "begin" }, { title: "lasted" }, { title: "rule" }, { title: "resource" }, { title: "host", isName: true },
  { title: "process", isName: true }, { title: "pid", isNumber: true }, { title: "findings", isNumber: true },
  { title: "severity", isNumber: true }, { title: "worst value", isNumber: true }, { title: "message", isName: true },
];

// What led to an incident, and what came of it, is part of its moment.
const AROUND_SECONDS = 5;

function lasted(incident) {
  const seconds = (incident.end_ts_ns - incident.begin_ts_ns) / 1e9;
  return seconds ? `${seconds.toFixed(seconds < 10 ? 3 : 0)} s` : "at once";
}

function link(incident) {
  const { host, pid } = incident;
  const [from, to] = [incident.begin_ts_ns / 1e9 - AROUND_SECONDS, incident.end_ts_ns / 1e9 + AROUND_SECONDS];
  return element("a", { href: momentAddress({ from, to, host, pid }), textContent: moment(incident.begin_ts_ns) });
}

/** Fills a table with the incidents of an answer, of which `most` are shown first; each leads to its moment. */
export function incidents(table, answer, most) {
  fill(table, COLUMNS, answer.incidents.map((incident) => [
    link(incident), lasted(incident), incident.rule, incident.resource, incident.host, incident.process,
    String(incident.pid), number(incident.count), incident.severity.toFixed(2), number(incident.value), incident.message,
  ]), most);
}

/** Says how many there are. */
export function counted(answer) {
  return `${number(answer.incidents.length)} incidents of ${number(answer.findings)} findings`
    + `${answer.complete ? "" : "; there are more, older ones"}.`;
}
