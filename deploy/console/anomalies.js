import { filter, get, problem } from "./api.js";
import { counted, incidents } from "./incidents.js";

const SHOWN = 100;
const REFRESH_MS = 3000;
/** The share of the time that the console may work for this page. */
const SHARE = 0.1;

let current = 0;

/** Shows the anomalies of a query, and those that are raised from then on, until another query is shown. */
async function show(query) {
  current += 1;
  const own = current;
  const note = document.getElementById("note");
  note.textContent = "Loading…";
  let shown = null;
  while (own === current) {
    const began = performance.now();
    if (!shown || !document.hidden) {
      try {
        const answer = await get("anomalies", query);
        if (own !== current) return;
        const text = JSON.stringify(answer);
        // A table that does not change keeps its place, and what was opened of it.
        if (text !== shown) {
          shown = text;
          note.textContent = counted(answer);
          incidents(document.getElementById("incidents"), answer, SHOWN);
        }
        problem(null);
      } catch (error) {
        if (own !== current) return;
        if (!shown) note.textContent = "";
        problem(error);
      }
    }
    const pause = Math.max(REFRESH_MS, (performance.now() - began) / SHARE);
    await new Promise((resume) => { setTimeout(resume, pause); });
  }
}

filter(document.getElementById("filter"), show);
