// @ts-check
// Handing in a document. XMLHttpRequest, because fetch cannot tell how much has been sent.
import { count, el, get, now, say, swap, time } from "./dom.js";
import { Refused, json, problemOf, signedOut, worthTrying } from "./session.js";

/** @typedef {{name: string, bytes: number, sha256: string, at: string}} Document */

export function startDocuments() {
  const form = get("documents-form");
  const input = /** @type {HTMLInputElement} */ (get("documents-file"));
  const upload = get("documents-upload");
  const stop = get("documents-stop");
  const progress = /** @type {HTMLProgressElement} */ (get("documents-progress"));
  const list = get("documents-list");
  /** @type {XMLHttpRequest | null} */
  let running = null;

  stop.addEventListener("click", () => running?.abort());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = input.files?.[0];
    if (file && !running) send(file);
  });
  void json("/api/documents").then(
    ({ documents }) => list.replaceChildren(...documents.map(line)),
    () => {},
  );

  /** @param {File} file */
  function send(file) {
    const call = new XMLHttpRequest();
    running = call;
    swap(upload, stop);
    progress.hidden = false;
    progress.value = 0;
    let sent = 0;
    say("documents", "waiting", "Uploading");
    call.upload.addEventListener("progress", (event) => {
      sent = event.loaded;
      if (event.total > 0) progress.value = event.loaded / event.total;
      say("documents", "live", `${count(event.loaded)} of ${count(event.total)} bytes`);
    });
    call.addEventListener("load", () => {
      if (call.status === 201) {
        list.prepend(line(JSON.parse(call.responseText)));
        say("documents", "live", "Uploaded");
        /** @type {HTMLFormElement} */ (form).reset();
      } else if (call.status === 401) {
        say("documents", "stopped", "Not uploaded: you are signed out");
        signedOut(problemOf(call.responseText));
      } else {
        say("documents", "stopped", new Refused(call.status, problemOf(call.responseText)).message);
      }
    });
    call.addEventListener("error", () => {
      say("documents", "stopped", `Upload stopped at ${now()} after ${count(sent)} bytes; nothing was kept`);
      void worthTrying();
    });
    call.addEventListener("abort", () => say("documents", "waiting", "You stopped it; nothing was kept"));
    call.addEventListener("loadend", () => {
      running = null;
      swap(stop, upload);
      progress.hidden = true;
    });
    call.open("POST", `/api/documents?name=${encodeURIComponent(file.name)}`);
    call.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    call.send(file);
  }

  /** @param {Document} document */
  function line({ name, bytes, sha256, at }) {
    return el(
      "li",
      {},
      el("span", {}, name),
      el("span", { class: "sub" }, `${count(bytes)} bytes, `, time(at)),
      el("span", { class: "sub hash" }, `SHA-256 ${sha256}`),
    );
  }
}
