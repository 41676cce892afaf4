// @ts-check
// A client without habits: no cookies kept, no redirects followed, no header sent that was not asked for. The client of
// Node's own `fetch` says that it is a browser, and what a browser's script asks for is not activity.
import http from "node:http";
import https from "node:https";

/** @typedef {{status: number, headers: http.IncomingHttpHeaders, text: string, json: () => any}} Answer */

/**
 * @param {string | URL} url
 * @param {{method?: string, headers?: http.OutgoingHttpHeaders, body?: string | Buffer, ca?: string}} [options]
 * @returns {Promise<Answer>}
 */
export function ask(url, { method = "GET", headers = {}, body, ca } = {}) {
  return new Promise((resolve, reject) => {
    const client = String(url).startsWith("https:") ? https : http;
    const request = client.request(url, { method, headers, ca, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: () => JSON.parse(text) }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

/**
 * An open answer that is read to its end, whatever that is.
 * @param {string | URL} url
 * @param {http.OutgoingHttpHeaders} headers
 * @returns {Promise<{status: number, received: () => string, over: Promise<"end" | "broken">}>}
 */
export function open(url, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      /** @type {Promise<"end" | "broken">} */
      const over = new Promise((done) => {
        response.on("end", () => done("end"));
        response.on("error", () => done("broken"));
      });
      resolve({ status: response.statusCode ?? 0, received: () => text, over });
    });
    request.on("error", reject);
    request.end();
  });
}

/**
 * Signs in by the form, as a client that is not a browser would.
 * @param {string} url
 * @param {string} user
 * @returns {Promise<{cookie: string, token: string}>}
 */
export async function signIn(url, user) {
  const answer = await ask(`${url}/_nightlatch/login`, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded", Origin: url },
    body: new URLSearchParams({ user, return_to: "/" }).toString(),
  });
  const [cookie] = (answer.headers["set-cookie"] ?? []).map((line) => line.split(";")[0]);
  if (answer.status !== 303 || !cookie) throw new Error(`not signed in: ${answer.status} ${answer.text}`);
  return { cookie, token: cookie.slice(cookie.indexOf("=") + 1) };
}

/**
 * Does something while the session of this cookie is used, however long a busy machine takes for it. When it is done the session is left
 * alone, and its idle limit begins to count.
 * @template T
 * @param {string} address of something whose reading is activity
 * @param {string} cookie
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function inUse(address, cookie, work) {
  const using = setInterval(() => void ask(address, { headers: { Cookie: cookie } }).catch(() => {}), 500);
  try {
    return await work();
  } finally {
    clearInterval(using);
  }
}
