import { fill, filter, get, moment, number, problem } from "./api.js";

const COLUMNS = [
  { title: "begin" }, { title: "lasted" }, { title: "rule" }, { title: "resource" }, { title: "host", isName: true },
  { title: "process", isName: true }, { title: "pid", isNumber: true }, { title: "findings", isNumber: true },
  { title: "severity", isNumber: true }, { title: "worst value", isNumber: true }, { title: "message", isName: true },
];

function lasted(incident) {
  const seconds = (incident.end_ts_ns - incident.begin_ts_ns) / 1e9;
  return seconds ? `${seconds.toFixed(seconds < 10 ? 3 : 0)} s` : "at once";
}

async function show(query) {
  const note = document.getElementById("note");
  note.textContent = "Loading…";
  try {
    const answer = await get("anomalies", query);
    note.textContent = `${number(answer.incidents.length)} incidents of ${number(answer.findings)} findings`
      + `${answer.complete ? "" : "; there are more, older ones"}.`;
    fill(document.getElementById("incidents"), COLUMNS, answer.incidents.map((incident) => [
      moment(incident.begin_ts_ns), lasted(incident), incident.rule, incident.resource, incident.host, incident.process,
      String(incident.pid), number(incident.count), incident.severity.toFixed(2), number(incident.value), incident.message,
    ]));
    problem(null);
  } catch (error) {
    note.textContent = "";
    problem(error);
  }
}

filter(document.getElementById("filter"), show);
