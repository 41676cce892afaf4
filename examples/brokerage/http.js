// @ts-check
// What every handler needs: problems (RFC 9457), JSON answers, bodies with a limit, numbers out of a query string.

/** The largest JSON or form body that is read. */
export const BODY_LIMIT = 64 * 1024;

/** An answer that is not the one hoped for. Thrown anywhere below the router, told to the client as problem+json. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} title
   * @param {string} [detail]
   * @param {{headers?: Record<string, string>, members?: Record<string, unknown>}} [more]
   */
  constructor(status, title, detail, more = {}) {
    super(detail ? `${title}: ${detail}` : title);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.headers = more.headers ?? {};
    this.members = more.members ?? {};
  }

  body() {
    return {
      type: "about:blank",
      title: this.title,
      status: this.status,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      ...this.members,
    };
  }
}

/** @param {string} text */
export function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/**
 * Whether the client would rather read HTML: a person following a link or posting a form without script.
 * @param {import("node:http").IncomingMessage} req
 */
export function prefersHtml(req) {
  const accept = req.headers.accept ?? "";
  return accept.includes("text/html") && !accept.includes("json");
}

/**
 * @param {import("node:http").ServerResponse} res
 * @param {number} status
 * @param {unknown} value
 * @param {Record<string, string>} [headers]
 */
export function sendJson(res, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value) + "\n");
  res.writeHead(status, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    ...headers,
  });
  res.end(body);
}

/**
 * @param {import("node:http").IncomingMessage} req
 * @param {import("node:http").ServerResponse} res
 * @param {Problem} problem
 */
export function sendProblem(req, res, problem) {
  const html = prefersHtml(req);
  const unread = !req.complete && ("transfer-encoding" in req.headers || Number(req.headers["content-length"]) > 0);
  const body = Buffer.from(html ? problemPage(problem) : JSON.stringify(problem.body()) + "\n");
  res.writeHead(problem.status, {
    "Content-Type": html ? "text/html; charset=utf-8" : "application/problem+json; charset=utf-8",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...(unread ? { Connection: "close" } : {}),
    ...problem.headers,
  });
  if (!unread) {
    res.end(body);
    return;
  }
  // To close on a client that is still sending would reset the connection and could take the answer with it:
  // what still comes is thrown away for a while first.
  res.write(body);
  const late = setTimeout(() => res.end(), 1000);
  const done = () => {
    clearTimeout(late);
    res.end();
  };
  req.on("end", done);
  req.on("error", done);
  req.resume();
}

/** @param {Problem} problem */
function problemPage(problem) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(problem.title)} - Harbour Securities</title>
<link rel="stylesheet" href="/assets/desk.css">
<body class="plain">
<main class="panel">
<h1>${escapeHtml(problem.title)}</h1>
${problem.detail ? `<p>${escapeHtml(problem.detail)}</p>` : ""}
<p><a class="button" href="/">Back to the desk</a></p>
<p class="quiet small">Status ${problem.status}</p>
</main>
</body>
</html>
`;
}

/**
 * @param {import("node:http").IncomingMessage} req
 * @param {number} [limit]
 * @returns {Promise<Buffer>}
 */
export async function readBody(req, limit = BODY_LIMIT) {
  const tooLarge = () =>
    new Problem(413, "Too much data", `At most ${limit} bytes are read here.`);
  if (Number(req.headers["content-length"] ?? 0) > limit) throw tooLarge();
  /** @type {Buffer[]} */
  const chunks = [];
  let size = 0;
  // Not `for await`: leaving that loop early would destroy the socket before the answer is written.
  await new Promise((resolve, reject) => {
    req.on("data", (chunk) => {
      size += chunk.length;
      if (size > limit) {
        req.removeAllListeners("data");
        reject(tooLarge());
      } else {
        chunks.push(chunk);
      }
    });
    req.on("end", resolve);
    req.on("error", () => reject(new Problem(400, "Incomplete request", "The body ended early.")));
  });
  return Buffer.concat(chunks);
}

/**
 * The fields of a JSON object or of a posted form.
 * @param {import("node:http").IncomingMessage} req
 * @returns {Promise<Record<string, unknown>>}
 */
export async function readFields(req) {
  const type = (req.headers["content-type"] ?? "").split(";")[0].trim().toLowerCase();
  if (type !== "application/json" && type !== "application/x-www-form-urlencoded") {
    throw new Problem(
      415,
      "Unknown kind of data",
      "Send application/json or application/x-www-form-urlencoded.",
    );
  }
  const text = (await readBody(req)).toString("utf8");
  if (type === "application/x-www-form-urlencoded") {
    return Object.fromEntries(new URLSearchParams(text));
  }
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Problem(400, "Not JSON", "The body cannot be read as JSON.");
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Problem(400, "Not a JSON object", "Send an object with named fields.");
  }
  return value;
}

/**
 * A whole number from the query string, within bounds, or its default.
 * @param {URLSearchParams} query
 * @param {string} name
 * @param {{default: number, min: number, max: number}} bounds
 */
export function wholeNumber(query, name, bounds) {
  const text = query.get(name);
  if (text === null) return bounds.default;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= bounds.min && value <= bounds.max)) {
    throw new Problem(
      400,
      "Number out of bounds",
      `"${name}" is a whole number from ${bounds.min} to ${bounds.max}.`,
    );
  }
  return value;
}
