// The API of the console, and what all pages do with its answers. Names from traces become text, never HTML.

export const RESOURCES = ["function", "cpu", "memory", "network", "io", "gpu"];

/** Returns an endpoint's answer; throws an Error with the server's message. Empty parameters are left out. */
export async function get(endpoint, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== null));
  const response = await fetch(`/api/v1/${endpoint}${query.size ? `?${query}` : ""}`);
  if (response.ok) return response.json();
  let message = `the console answered ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // What is between the browser and the console may answer in another form.
  }
  throw new Error(message);
}

/** Fills a table. A column is {title, isNumber, isName}; a cell is text or a node. */
export function fill(table, columns, rows) {
  const head = document.createElement("thead");
  const titles = head.insertRow();
  for (const column of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = column.title;
    if (column.isNumber) cell.className = "n";
    titles.append(cell);
  }
  const body = document.createElement("tbody");
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((content, position) => {
      const cell = line.insertCell();
      const column = columns[position];
      cell.dataset.title = column.title;
      if (column.isNumber) cell.className = "n";
      if (column.isName) {
        cell.className = "name";
        const text = document.createElement("span");
        text.dir = "auto";
        text.textContent = content;
        text.title = content;
        cell.append(text);
      } else {
        cell.append(content ?? "–");
      }
    });
  }
  table.replaceChildren(head, body);
}

/** A number with separators, or a dash. */
export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit + 1 < units.length) {
    count /= 1024;
    unit += 1;
  }
  return `${unit ? count.toFixed(1) : count} ${units[unit]}`;
}

/** Nanoseconds since the epoch as local time. */
export function moment(nanoseconds) {
  if (!nanoseconds) return "–";
  const date = new Date(nanoseconds / 1e6);
  const pad = (value, width = 2) => String(value).padStart(width, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} `
    + `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** How long ago something was, in words. */
export function age(nanoseconds) {
  const seconds = Math.max(0, Date.now() / 1e3 - nanoseconds / 1e9);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
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
  const address = new URLSearchParams(location.search);
  for (const element of form.elements) if (element.name) element.value = address.get(element.name) ?? "";
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
