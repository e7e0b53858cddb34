// What the pages over call paths share: times of a tree, and what a reader could take for something else.

import { element, fill, moment, named, number, short } from "./api.js";

export const milliseconds = (value) => (value === null || value === undefined ? "–" : short(value));

/** What became of a window that a span reaches into, where that is not all of it. */
const NOT_CLOSED = {
  recent: "The last seconds are missing, as another query closed the window just before. Load the page again for them.",
  open: "The newest events are missing, as the open window could not be closed in time. Load the page again for them.",
};

/** Shows what the windows that were read do not tell; `before` names the side of a comparison. */
export function notices(list, coverages) {
  list.replaceChildren(...coverages.flatMap(({ coverage, side }) => said(coverage).map(
    (parts) => element("li", {}, side ? `${side}: ` : "", ...parts),
  )));
}

function said(coverage) {
  const lines = [];
  if (!coverage.windows) {
    lines.push(["There are no call paths in that span. Those of the open window come with its publication: every five minutes, "
      + "or by scripts/cluster finalize."]);
  }
  if (coverage.exceeds_span) {
    lines.push([`Windows that lie in the span only in part count as a whole here: these cover ${moment(coverage.first_ts_ns)} to `
      + `${moment(coverage.last_ts_ns)}.`]);
  }
  if (coverage.open_window in NOT_CLOSED) lines.push([NOT_CLOSED[coverage.open_window]]);
  if (coverage.sampled.length) {
    const calls = coverage.sampled.reduce((sum, process) => sum + process.calls, 0);
    const shown = coverage.sampled.slice(0, 5).flatMap((process, position) => [
      position ? ", " : "", named(process.process), ` (pid ${process.pid} on `, named(process.host), ")",
    ]);
    lines.push([
      "No self times of ", ...shown, coverage.sampled.length > 5 ? ` and ${number(coverage.sampled.length - 5)} more` : "",
      `: their agents send only some of their calls (${number(calls)} came), so what is inside a call is not known.`,
    ]);
  }
  if (coverage.calls_beyond) {
    lines.push([`There were too many paths: ${number(coverage.calls_beyond)} calls are under (other).`]);
  }
  return lines;
}

/** Fills a table with the heaviest paths of a tree, for where there is no picture. */
export function paths(box, root, time, title) {
  const rows = [];
  const open = [{ node: root, path: [] }];
  while (open.length) {
    const { node, path } = open.pop();
    const value = time(node);
    if (value && path.length) rows.push({ path, value });
    for (const child of node.children ?? []) open.push({ node: child, path: [...path, child.name] });
  }
  const table = element("table");
  fill(table, [{ title: "call path", isName: true }, { title, isNumber: true }], rows
    .sort((one, other) => Math.abs(other.value) - Math.abs(one.value)).slice(0, 50)
    .map(({ path, value }) => [path.join(" › "), milliseconds(value)]));
  box.replaceChildren(table);
}
