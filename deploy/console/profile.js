// What the pages over call paths share: times of a tree, and what a reader could take for something else.

import { element, fill, moment, named, number, short } from "./api.js";

export const milliseconds = (value) => (value === null || value === undefined ? "–" : short(value));

/** Shows what the windows that were read do not tell; `before` names the side of a comparison. */
export function notices(list, coverages) {
  list.replaceChildren(...coverages.flatMap(({ coverage, side }) => said(coverage).map(
    (parts) => element("li", {}, side ? `${side}: ` : "", ...parts),
  )));
}

function said(coverage) {
  const lines = [];
  if (!coverage.windows) {
    lines.push(["No published window of that span has call paths. Windows are published every five minutes, or by "
      + "scripts/cluster finalize."]);
  }
  if (coverage.exceeds_span) {
    lines.push([`Call paths are kept by window, and windows count as a whole: these cover ${moment(coverage.first_ts_ns)} to `
      + `${moment(coverage.last_ts_ns)}.`]);
  }
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
