// @ts-check
// What the guide says an application does with an assertion, done: its code is taken from there and run, with libraries that are not ours.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { SignJWT, UnsecuredJWT, createLocalJWKSet, decodeJwt, generateKeyPair, jwtVerify } from "jose";
import { ask } from "./support/http.js";
import { later, shared } from "./support/later.js";
import { ROOT, folder, run } from "./support/program.js";
import { startSite } from "./support/site.js";

const GUIDE = path.join(ROOT, "docs/guide/verify-who-it-is.md");
const PYTHON = path.join(ROOT, ".venv/bin/python");
const ISSUER = "nightlatch";

/** The guide's code in a language. @param {string} language */
async function fromTheGuide(language) {
  const code = new RegExp("^```" + language + "\\n(.*?)^```", "ms").exec(await readFile(GUIDE, "utf8"))?.[1];
  assert.ok(code, `the guide has code in ${language}`);
  return code;
}

describe("assertions", { concurrency: 1 }, () => {
  const file = shared(after);
  /** @type {Record<string, import("node:http").IncomingHttpHeaders>} what the application was told, by path */
  const told = {};
  /** @type {Awaited<ReturnType<typeof startSite>>} */
  let site;
  /** @type {string} */
  let token;
  /** @type {(headers: Record<string, unknown>) => Promise<Record<string, any>>} */
  let who;

  before(async () => {
    const app = http.createServer((request, answer) => {
      told[request.url ?? ""] = request.headers;
      answer.end("ok");
    });
    app.on("upgrade", (request, socket) => {
      told[request.url ?? ""] = request.headers;
      socket.destroy();
    });
    app.listen(0, "127.0.0.1");
    await once(app, "listening");
    later(file, () => void app.close());
    const upstream = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (app.address()).port}`;
    const asks = (/** @type {string} */ name, /** @type {string} */ host) => ({ name, host, upstream, app: "assertion = true" });
    site = await startSite(file, { upstream, idle: "20s", apps: [asks("blotter", "*"), asks("research", "localhost")] });
    ({ token } = await site.start({ subject: "J\u00fcrgen", groups: ["traders", "a,b"], acr: "pwd+otp" }));
    process.env.GATEWAY = site.url;
    process.env.ISSUER = ISSUER;
    // Beside this file, where it finds `jose`.
    const dir = await mkdtemp(path.join(fileURLToPath(new URL(".", import.meta.url)), ".guide-"));
    later(file, () => rm(dir, { recursive: true, force: true }));
    const script = path.join(dir, "who.js");
    await writeFile(script, await fromTheGuide("js"));
    ({ who } = await import(pathToFileURL(script).href));
  });

  /** What the application is told when this is asked for. @param {string} where @param {Record<string, string>} [headers] */
  async function asked(where, headers = {}) {
    const answer = await ask(site.url + where, { headers: { Authorization: `Bearer ${token}`, "Sec-Fetch-Mode": "cors", ...headers } });
    assert.equal(answer.status, 200, answer.text);
    return told[where];
  }

  /** @param {Record<string, unknown>} headers */
  async function whoInPython(headers) {
    const script = path.join(await folder(file), "who.py");
    const tail = `
import json, sys
try:
    print(json.dumps(who(json.loads(sys.argv[1]))))
except jwt.PyJWTError as error:
    print(json.dumps({"refused": type(error).__name__}))
`;
    await writeFile(script, (await fromTheGuide("python")) + tail);
    const { code, stdout, stderr } = await run(PYTHON, [script, JSON.stringify(headers)], { env: { GATEWAY: site.url, ISSUER } });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  test("Node and Python tell from it who a request is from", async () => {
    const headers = await asked("/orders");
    const claims = await who(headers);
    const session = await site.sessionOf(token);
    assert.deepEqual(
      [claims.sub, claims.provider, claims.sid, claims.groups, claims.acr, claims.aud],
      ["J\u00fcrgen", "key:issuer", session, ["traders", "a,b"], "pwd+otp", "blotter"],
    );
    assert.equal(headers["x-nightlatch-session"], session);
    assert.equal(claims.exp - claims.iat, 10);
    assert.ok(Math.abs(claims.iat - Date.now() / 1000) < 5);
    assert.deepEqual(await whoInPython(headers), claims);
  });

  test("a handshake has it too", async () => {
    const { hostname, port } = new URL(site.url);
    const request = http.request({
      hostname, port, path: "/ws",
      headers: {
        ...{ Authorization: `Bearer ${token}`, Connection: "Upgrade", Upgrade: "websocket" },
        ...{ "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==" },
      },
    });
    request.end();
    await Promise.race([once(request, "response"), once(request, "error")]);
    assert.equal((await who(told["/ws"])).aud, "blotter");
  });

  test("what is not signed for this application by this gateway, or is over, is refused", async () => {
    const { "x-nightlatch-assertion": good } = await asked("/good");
    const { "x-nightlatch-assertion": others } = await asked("/other", { Host: `localhost:${new URL(site.url).port}` });
    const claims = decodeJwt(String(good));
    assert.deepEqual([claims.aud, decodeJwt(String(others)).aud], ["blotter", "research"]);
    const [head, body, signature] = String(good).split(".");
    const changed = Buffer.from(JSON.stringify({ ...claims, groups: ["admins"] })).toString("base64url");
    const key = (await generateKeyPair("ES256")).privateKey;
    const kid = JSON.parse(Buffer.from(head, "base64url").toString()).kid;
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid }).sign(key);
    const published = await (await fetch(`${site.url}/_nightlatch/jwks.json`)).text();
    const hmac = await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid }).sign(Buffer.from(published));
    const bad = {
      "for another application": others,
      changed: [head, changed, signature].join("."),
      "of another key": forged,
      "by HMAC with what is published": hmac,
      unsigned: new UnsecuredJWT(claims).encode(),
      none: undefined,
      "cut off": [head, body, signature.slice(0, 20)].join("."),
    };
    for (const [what, assertion] of Object.entries(bad)) {
      const headers = assertion === undefined ? {} : { "x-nightlatch-assertion": assertion };
      await assert.rejects(who(headers), what);
      assert.ok((await whoInPython(headers)).refused, what);
    }
    const keys = createLocalJWKSet(JSON.parse(published));
    const expires = new Date((claims.exp ?? 0) * 1000);
    const at = (/** @type {number} */ ms) => ({ audience: "blotter", currentDate: new Date(expires.getTime() + ms) });
    await jwtVerify(String(good), keys, at(-1));
    await assert.rejects(jwtVerify(String(good), keys, at(0)), "over at the second that it names");
  });

  test("none is good beyond the end of its session", async () => {
    const { id, token: short } = await site.start({ subject: "ada", idle: "6s" });
    const answer = await ask(`${site.url}/short`, { headers: { Authorization: `Bearer ${short}`, "Sec-Fetch-Mode": "cors" } });
    assert.equal(answer.status, 200);
    const shown = (await site.api("operator", `GET /v1/sessions/${id}`)).json();
    const claims = await who(told["/short"]);
    assert.ok(claims.exp * 1000 <= Date.parse(shown.deadline.at), `${claims.exp} and ${shown.deadline.at}`);
    assert.ok(claims.exp - claims.iat <= 6);
  });
});
