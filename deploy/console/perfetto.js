// Opens a trace in the Perfetto UI: https://perfetto.dev/docs/visualization/deep-linking-to-perfetto-ui

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

/** Opens a trace: `about` promises what the console knows of itself, `address` is the file's. */
export async function open(about, address, title) {
  // A window opens only while the click is handled, which is before the first wait.
  const target = window.open("about:blank");
  if (!target) throw new Error("the browser blocked the window of the Perfetto UI");
  try {
    const url = (await about).perfetto_ui;
    const { origin } = new URL(url);
    const response = await fetch(address);
    if (!response.ok) throw new Error(`the file is not there any more (${response.status})`);
    const buffer = await response.arrayBuffer();
    target.location = url;
    await ready(target, origin);
    target.postMessage({ perfetto: { buffer, title, fileName: title.split("/").pop() } }, origin, [buffer]);
  } catch (error) {
    target.close();
    throw error;
  }
}
