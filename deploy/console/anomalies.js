import { filter, get, problem } from "./api.js";
import { counted, incidents } from "./incidents.js";

const SHOWN = 100;

async function show(query) {
  const note = document.getElementById("note");
  note.textContent = "Loading…";
  try {
    const answer = await get("anomalies", query);
    note.textContent = counted(answer);
    incidents(document.getElementById("incidents"), answer, SHOWN);
    problem(null);
  } catch (error) {
    note.textContent = "";
    problem(error);
  }
}

filter(document.getElementById("filter"), show);
