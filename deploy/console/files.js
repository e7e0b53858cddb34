import { bytes, element, fill, filter, get, moment, named, number, problem } from "./api.js";
import { perfettoButton } from "./perfetto.js";

const COLUMNS = [
  { title: "file" }, { title: "host", isName: true }, { title: "resource" }, { title: "window", isNumber: true },
  { title: "first event" }, { title: "last event" }, { title: "size", isNumber: true }, { title: "open" },
];

function address(file) {
  return `/api/v1/files/${file.name.split("/").map(encodeURIComponent).join("/")}`;
}

function download(file) {
  return element("a", { href: address(file), download: "" }, named(file.name));
}

function button(file) {
  // Perfetto expands gzip, and does not know zstd.
  return file.kind !== "json" || file.name.endsWith(".zst") ? "–" : perfettoButton(address(file), file.name);
}

async function show(query) {
  const note = document.getElementById("note");
  note.textContent = "Loading…";
  try {
    const answer = await get("files", query);
    note.textContent = `${number(answer.files.length)} files, ${bytes(answer.bytes)}`
      + `${answer.complete ? "" : "; there are more, older ones"}.`;
    fill(document.getElementById("files"), COLUMNS, answer.files.map((file) => [
      download(file), file.host ?? "all", file.resource, String(file.window), moment(file.first_ts_ns),
      moment(file.last_ts_ns), bytes(file.bytes), button(file),
    ]));
    problem(null);
  } catch (error) {
    note.textContent = "";
    problem(error);
  }
}

filter(document.getElementById("filter"), show);
