// @ts-check
// Handing in a document. XMLHttpRequest, because fetch cannot tell how much has been sent.
import { count, el, get, now, say, stale, swap, time } from "./dom.js";
import { Refused, isSignedOut, json, onSignedOut, problemOf, signedOut, worthTrying } from "./session.js";

/** @typedef {{name: string, bytes: number, sha256: string, at: string}} Document */

const UNKNOWN = "We cannot tell whether it arrived. Check this list after you have signed in again.";

export function startDocuments() {
  const form = get("documents-form");
  const input = /** @type {HTMLInputElement} */ (get("documents-file"));
  const upload = get("documents-upload");
  const stop = get("documents-stop");
  const progress = /** @type {HTMLProgressElement} */ (get("documents-progress"));
  const list = get("documents-list");
  /** @type {XMLHttpRequest | null} */
  let running = null;
  /** All of it has been sent: only the answer is still to come, and worth waiting for. */
  let whole = false;

  stop.addEventListener("click", () => running?.abort());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = input.files?.[0];
    if (file && !running) send(file);
  });
  void json("/api/documents").then(
    ({ documents }) => {
      list.replaceChildren(...documents.map(line));
      if (!running) say("documents", "live", `As of ${now()}`);
    },
    () => {
      if (!running) stale("documents");
    },
  );
  onSignedOut(() => {
    if (!whole) running?.abort();
  });

  /** @param {File} file */
  function send(file) {
    const call = new XMLHttpRequest();
    running = call;
    whole = false;
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
    call.upload.addEventListener("load", () => {
      whole = true;
    });
    call.addEventListener("load", () => {
      if (call.status === 201) {
        list.prepend(line(JSON.parse(call.responseText)));
        say("documents", "live", "Uploaded");
        /** @type {HTMLFormElement} */ (form).reset();
      } else if (call.status === 401) {
        const problem = problemOf(call.responseText);
        say("documents", "stopped", problem.outcome === "unknown" ? UNKNOWN : "Not uploaded: you are signed out");
        signedOut(problem);
      } else {
        say("documents", "stopped", new Refused(call.status, problemOf(call.responseText)).message);
      }
    });
    const broken = () =>
      say(
        "documents",
        "stopped",
        whole ? UNKNOWN : `Upload stopped at ${now()} after ${count(sent)} bytes; nothing was kept`,
      );
    call.addEventListener("error", () => {
      broken();
      void worthTrying();
    });
    call.addEventListener("abort", () => {
      if (isSignedOut()) broken();
      else say("documents", "waiting", "You stopped it; nothing was kept");
    });
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
