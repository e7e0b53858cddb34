// Opens a trace in the Perfetto UI: https://perfetto.dev/docs/visualization/deep-linking-to-perfetto-ui

import { element, get, problem } from "./api.js";

const PING_MS = 50;
const READY_MS = 60000;

/** Resolves when the UI answers a PING; it may still be loading. */
function ready(target, origin) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const end = (finish) => {
      clearInterval(timer);
      removeEventListener("message", listen);
      finish();
    };
    const listen = (event) => {
      if (event.source === target && event.origin === origin && event.data === "PONG") end(resolve);
    };
    const timer = setInterval(() => {
      if (target.closed) end(() => reject(new Error("the Perfetto UI was closed")));
      else if (performance.now() - began > READY_MS) end(() => reject(new Error(`${origin} does not answer`)));
      else target.postMessage("PING", origin);
    }, PING_MS);
    addEventListener("message", listen);
  });
}

/** Opens the trace that an address of the console gives. */
async function open(address, title) {
  // A window opens only while the click is handled, which is before the first wait.
  const target = window.open("about:blank");
  if (!target) throw new Error("the browser blocked the window of the Perfetto UI");
  try {
    const { href, origin } = new URL((await get("about")).perfetto_ui, location.href);
    const response = await fetch(address);
    if (!response.ok) throw new Error((await response.json()).error.message);
    const buffer = await response.arrayBuffer();
    target.location = href;
    await ready(target, origin);
    target.postMessage({ perfetto: { buffer, title, fileName: `${title.split("/").pop()}` } }, origin, [buffer]);
  } catch (error) {
    target.close();
    throw error;
  }
}

/** A button that opens a trace. */
export function perfettoButton(address, title) {
  const button = element("button", { type: "button", textContent: "Open in Perfetto" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      problem(null);
      await open(address, title);
    } catch (error) {
      problem(error);
    }
    button.disabled = false;
  });
  return button;
}
