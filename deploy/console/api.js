// The API of the console, and what all pages do with its answers. Names from traces become text, never HTML.

export const RESOURCES = ["function", "cpu", "memory", "network", "io", "gpu"];

// A page asks for several things at once, and the console answers few at a time.
const BUSY_TRIES = 4;

/** Returns an endpoint's address. Empty parameters are left out. */
export function address(endpoint, parameters = {}) {
  const entries = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(entries.flatMap(([name, value]) => [value].flat().map((one) => [name, one])));
  return `/api/v1/${endpoint}${query.size ? `?${query}` : ""}`;
}

/** Returns an endpoint's answer; throws an Error with the server's message. */
export async function get(endpoint, parameters = {}) {
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(address(endpoint, parameters));
    if (response.ok) return response.json();
    const wait = Number(response.headers.get("Retry-After"));
    if (response.status === 503 && wait && tries < BUSY_TRIES) {
      await new Promise((resume) => { setTimeout(resume, wait * 1000); });
      continue;
    }
    let message = `the console answered ${response.status}`;
    try {
      message = (await response.json()).error.message;
    } catch {
      // What is between the browser and the console may answer in another form.
    }
    throw new Error(message);
  }
}

/** Creates an element with properties and children, which are nodes or text. */
export function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
}

/** A name from a trace, of any length and direction of writing. */
export function named(text) {
  return element("span", { className: "name", dir: "auto", title: text, textContent: text });
}

/**
 * Fills a table. A column is {title, isNumber, isName}; a cell is text or a node. Of many rows `most` are shown, and a
 * button shows all.
 */
export function fill(table, columns, rows, most = Infinity) {
  const titles = element("tr", {}, ...columns.map((column) => element(
    "th", { scope: "col", textContent: column.title, className: column.isNumber ? "n" : "" },
  )));
  const lines = rows.slice(0, most).map((row) => element("tr", {}, ...row.map((content, position) => {
    const column = columns[position];
    const cell = element("td", { className: column.isNumber ? "n" : "" });
    cell.dataset.title = column.title;
    cell.append(column.isName && typeof content === "string" ? named(content) : content ?? "–");
    return cell;
  })));
  table.replaceChildren(element("thead", {}, titles), element("tbody", {}, ...lines));
  if (rows.length <= most) return;
  const more = element("button", { type: "button", textContent: `Show ${number(rows.length - most)} more` });
  more.addEventListener("click", () => fill(table, columns, rows));
  table.append(element("tfoot", {}, element("tr", {}, element("td", { colSpan: columns.length }, more))));
}

/** A number with a bar beside it; `part` is how much of the greatest one it is. */
export function bar(text, part, kind = "") {
  const inner = element("span", { className: `bar ${kind}` });
  inner.style.width = `${Math.min(1, Math.abs(part)) * 100}%`;
  return element("span", { className: "barred" }, element("span", { textContent: text }),
    element("span", { className: "track" }, inner));
}

/** A number with separators, or a dash. */
export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

/** A number of things, whose name is that of one of them. */
export const counting = (count, name) => `${number(count)} ${name}${count === 1 ? "" : "s"}`;

/** A number with three significant digits at least, for people. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value) >= 100 || value === 0 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit + 1 < units.length) {
    count /= 1024;
    unit += 1;
  }
  return `${unit ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

/** A duration in seconds, with a unit that suits it. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1e-3) return `${short(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short(seconds * 1e3)} ms`;
  if (seconds < 120) return `${short(seconds)} s`;
  if (seconds < 7200) return `${short(seconds / 60)} min`;
  return `${short(seconds / 3600)} h`;
}

const pad = (value, width = 2) => String(value).padStart(width, "0");

/** Nanoseconds since the epoch as local time. */
export function moment(nanoseconds) {
  if (!nanoseconds) return "–";
  const date = new Date(nanoseconds / 1e6);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(nanoseconds / 1e9)}`
    + `.${pad(date.getMilliseconds(), 3)}`;
}

/** Seconds since the epoch as local time of day. */
export function clock(seconds) {
  const date = new Date(seconds * 1e3);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** Seconds since the epoch as the value of a `datetime-local` field. */
export function field(seconds) {
  const date = new Date(seconds * 1e3);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}T${clock(seconds)}`
    + `.${pad(date.getMilliseconds(), 3)}`;
}

/** How long ago something was, in words. */
export function age(nanoseconds) {
  const seconds = Math.max(0, Date.now() / 1e3 - nanoseconds / 1e9);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

/** The address of a moment's page. Times are seconds since the epoch. */
export function momentAddress({ from, to, host, pid }) {
  const query = new URLSearchParams({ from: seconds(from), to: seconds(to) });
  if (host) query.set("host", host);
  if (pid) query.set("pid", pid);
  return `/moment?${query}`;
}

/** Seconds since the epoch as a parameter: to the millisecond, unless it is one already. */
export function seconds(value) {
  return typeof value === "string" ? value : value.toFixed(3).replace(/\.?0+$/, "");
}

/** Shows a problem, or hides the last one. */
export function problem(error) {
  const line = document.getElementById("problem");
  line.hidden = !error;
  line.textContent = error ? error.message : "";
}

/** Makes a form of filters: its values stand in the page's address, so that it can be sent to a colleague. */
export function filter(form, show) {
  const resource = form.elements.namedItem("resource");
  resource.append(new Option("all", ""), ...RESOURCES.map((name) => new Option(name, name)));
  const found = new URLSearchParams(location.search);
  for (const input of form.elements) if (input.name) input.value = found.get(input.name) ?? "";
  const read = () => {
    const values = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    const query = { ...values };
    for (const end of ["from", "to"]) if (values[end]) query[end] = String(new Date(values[end]).getTime() / 1e3);
    return { values, query };
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { values, query } = read();
    history.replaceState(null, "", `?${new URLSearchParams(values)}`);
    show(query);
  });
  show(read().query);
}
