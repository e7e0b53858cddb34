// The libraries that draw. They come from Debian's packages; without them pages have tables.

const LIBRARIES = {
  Dygraph: { script: "/lib/dygraphs/dygraph.min.js", style: "/lib/dygraphs/dygraph.min.css", installs: "libjs-dygraphs" },
  d3: { script: "/lib/d3/d3.min.js", installs: "libjs-d3" },
};

/** Resolves to a library, or to null where it is not installed on the server; the note says then what to install. */
export function library(name, note) {
  const { script, style, installs } = LIBRARIES[name];
  if (style) {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: style });
    document.head.append(link);
  }
  return new Promise((resolve) => {
    const tag = Object.assign(document.createElement("script"), { src: script });
    tag.addEventListener("load", () => resolve(window[name]));
    tag.addEventListener("error", () => {
      note.hidden = false;
      note.textContent = `There are no pictures because Debian's package ${installs} is not installed where the console runs. `
        + `Install it (apt-get install ${installs}) and start the console again.`;
      resolve(null);
    });
    document.head.append(tag);
  });
}
