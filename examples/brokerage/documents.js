// @ts-check
// Documents handed in: the body is read as it comes, counted and hashed, and not kept.
import { createHash } from "node:crypto";
import { Problem, sendJson } from "./http.js";

const LARGEST = 1024 * 1024 * 1024;
const MOST = 50;

/** @typedef {{name: string, bytes: number, sha256: string, at: string, user: string}} Document */

/**
 * @param {object} parts
 * @param {import("./log.js").Log} parts.log
 * @param {import("./audit.js").Audit} parts.audit
 */
export function createDocuments({ log, audit }) {
  /** @type {Document[]} */
  const documents = [];

  return {
    /** @param {import("./who.js").User} user */
    list: (user) => documents.filter((document) => document.user === user.id),

    /**
     * @param {import("node:http").IncomingMessage} req
     * @param {import("node:http").ServerResponse} res
     * @param {URLSearchParams} query
     * @param {import("./who.js").User} user
     */
    async upload(req, res, query, user) {
      const name = (query.get("name") ?? "").trim() || "untitled";
      if (name.length > 200) throw new Problem(400, "Name too long", "At most 200 characters.");
      const opened = Date.now();
      const hash = createHash("sha256");
      let bytes = 0;
      log({ event: "upload_opened", user: user.id, name });
      /** @param {boolean} complete */
      const closed = (complete) =>
        log({
          event: complete ? "upload_closed" : "upload_aborted",
          user: user.id,
          name,
          bytes,
          ms: Date.now() - opened,
        });

      await new Promise((resolve, reject) => {
        req.on("data", (chunk) => {
          bytes += chunk.length;
          if (bytes > LARGEST) {
            req.removeAllListeners("data");
            reject(new Problem(413, "Document too large", `At most ${LARGEST} bytes are taken.`));
            return;
          }
          hash.update(chunk);
        });
        req.on("end", resolve);
        req.on("error", () => reject(new Problem(400, "Incomplete upload", "The document ended early.")));
      }).catch((error) => {
        closed(false);
        throw error;
      });

      closed(true);
      const document = {
        name,
        bytes,
        sha256: hash.digest("hex"),
        at: new Date().toISOString(),
        user: user.id,
      };
      documents.unshift(document);
      if (documents.length > MOST) documents.pop();
      audit.add(user.id, `uploaded a document of ${bytes} bytes`);
      sendJson(res, 201, document);
    },
  };
}
