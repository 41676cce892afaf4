// @ts-check
// A certified OpenID provider (npm `oidc-provider`) in this process, and a person who walks through it without a browser.
import { readFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";
import { ask } from "./http.js";
import { later } from "./later.js";
import { sleep } from "./wait.js";

const CLIENT = "nightlatch";
export const SECRET = "a secret: with/characters+that&need=encoding";

/** A signing key of this run. @param {string} kid */
async function signingKey(kid) {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: "ES256", use: "sig" };
}

/**
 * @param {import("./later.js").Owner} owner
 * @param {string[]} redirects where a client of it may be answered
 * @param {object} [options]
 * @param {"client_secret_basic" | "client_secret_post"} [options.authentication]
 * @param {string} [options.name] how the gateway calls it
 * @param {boolean} [options.nameless] it does not promise to name itself in its answers (RFC 9207)
 * @param {string} [options.backchannel] where it says that somebody signed out
 * @param {boolean} [options.pushed] whether requests have to be handed over before the browser comes (RFC 9126)
 * @param {{ca: string, cert: string, key: string}} [options.tls] with a certificate of this authority
 */
export async function startProvider(owner, redirects, { authentication = "client_secret_basic", name = "firm", nameless = false, pushed = false, backchannel, tls } = {}) {
  const server = tls ? https.createServer({ cert: await readFile(tls.cert), key: await readFile(tls.key) }) : http.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  // Another host than the gateway's, or a browser would show each the cookies of the other.
  const issuer = `${tls ? "https" : "http"}://localhost:${port}`;
  let key = await signingKey("first");
  /** @type {(token: string, key: Record<string, any>) => string | Promise<string>} what becomes of an ID token before it is sent */
  let tampered = (token) => token;
  let wait = 0;
  const provide = () => {
    const provider = new Provider(issuer, configuration());
    provider.use(async (ctx, next) => {
      await next();
      const body = /** @type {{id_token?: string}} */ (ctx.body);
      const { body: said } = /** @type {{body: Record<string, unknown>}} */ (ctx);
      if (nameless && ctx.path === "/.well-known/openid-configuration") delete said.authorization_response_iss_parameter_supported;
      if (ctx.path === "/token" && body?.id_token) body.id_token = await tampered(body.id_token, key);
    });
    return provider;
  };
  const logout = backchannel ? { backchannel_logout_uri: backchannel, backchannel_logout_session_required: true } : {};
  /** @type {{url: string, body: string}[]} what it sent to its clients */
  const posted = [];
  const configuration = () => ({
    jwks: { keys: [key] },
    // The certified kind can be asked to sign with what we do not take, and nothing here asks it to.
    clients: [{ client_id: CLIENT, client_secret: SECRET, redirect_uris: redirects, token_endpoint_auth_method: authentication, id_token_signed_response_alg: /** @type {const} */ ("ES256"), ...logout }],
    claims: { openid: ["sub"], groups: ["groups"] },
    scopes: ["openid", "groups"],
    conformIdTokenClaims: false,
    // The provider's own client goes to no loopback address.
    fetch: (/** @type {URL} */ url, /** @type {Record<string, any>} */ { dispatcher: _, ...options }) => {
      posted.push({ url: String(url), body: String(options.body) });
      return fetch(url, options);
    },
    cookies: { keys: ["a key of this run"] },
    findAccount: (/** @type {unknown} */ _, /** @type {string} */ sub) => ({ accountId: sub, claims: async () => ({ sub, groups: sub === "nobody" ? undefined : ["traders", "desk 4"] }) }),
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      pushedAuthorizationRequests: { enabled: pushed, requirePushedAuthorizationRequests: pushed },
    },
  });
  /** @type {string[]} every request, method and path */
  const asked = [];
  let provider = provide();
  server.on("request", async (request, response) => {
    asked.push(`${request.method} ${request.url?.split("?")[0]}`);
    if (wait) await sleep(wait);
    return provider.callback()(request, response);
  });
  later(owner, () => stop());
  function stop() {
    server.closeAllConnections();
    server.close();
  }
  return {
    issuer,
    asked,
    posted,
    stop,
    /** From now on it signs with another key, and publishes no other. What else it knows it keeps. @param {string} kid */
    async rotate(kid) {
      key = await signingKey(kid);
      provider = provide();
    },
    /** From now on its ID tokens are changed on the way out. @param {typeof tampered} change */
    tamper(change) {
      tampered = change;
    },
    /** From now on it answers so much later. @param {number} milliseconds */
    slow(milliseconds) {
      wait = milliseconds;
    },
    /** It says of every authentication that it was an hour ago, as a provider does that lets people pass by a session of its own. */
    ageBy(/** @type {number} */ seconds) {
      provider.Session.prototype.authTime = function () {
        return this.loginTs - seconds;
      };
    },
    /** What `startSite` needs to sign people in here. */
    site: (lines = tls ? `ca_file = "${tls.ca}"` : "") => ({
      form: false,
      env: { OIDC_SECRET: SECRET },
      identity: `[[identity.oidc]]\nname = "${name}"\nissuer = "${issuer}"\nclient_id = "${CLIENT}"\nclient_secret_env = "OIDC_SECRET"
client_authentication = "${authentication}"\n${lines}`,
    }),
  };
}

/** Somebody with cookies for each origin, who follows redirects and fills in what the provider asks. */
export class Person {
  /** @type {Map<string, Map<string, string>>} */
  jars = new Map();
  /** @type {string[]} what the provider asked for, in order */
  asked = [];

  /** @param {string} name @param {string} [ca] whom they believe about certificates, if not the system's authorities */
  constructor(name, ca) {
    this.name = name;
    this.ca = ca;
  }

  /** @param {string} url */
  jar(url) {
    const { origin } = new URL(url);
    const jar = this.jars.get(origin) ?? new Map();
    this.jars.set(origin, jar);
    return jar;
  }

  /**
   * One request, as a browser's navigation.
   * @param {string} url
   * @param {Record<string, string>} [form]
   */
  async step(url, form) {
    const jar = this.jar(url);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = {
      Accept: "text/html",
      ...(cookie ? { Cookie: cookie } : {}),
      ...(form ? { "Content-Type": "application/x-www-form-urlencoded", Origin: new URL(url).origin } : {}),
    };
    const answer = await ask(url, { method: form ? "POST" : "GET", headers, ca: this.ca, body: form && new URLSearchParams(form).toString() });
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [, name, value] = /** @type {RegExpMatchArray} */ (line.match(/^([^=]+)=([^;]*)/));
      if (value === "" || /max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return { ...answer, url, location: answer.headers.location && new URL(answer.headers.location, url).href };
  }

  /**
   * Follows redirects and answers the provider, until something else is there or the next step is the one that is to be left.
   * @param {string} url
   * @param {{until?: (url: string) => boolean}} [options]
   */
  async walk(url, { until = () => false } = {}) {
    let answer = await this.step(url);
    for (let steps = 0; steps < 30; steps++) {
      const prompt = answer.text.match(/name="prompt" value="(\w+)"/)?.[1];
      const action = answer.text.match(/action="([^"]+)"/)?.[1];
      if (answer.location && until(answer.location)) return answer;
      if (answer.location) {
        answer = await this.step(answer.location);
      } else if (prompt && action) {
        this.asked.push(prompt);
        answer = await this.step(new URL(action, answer.url).href, { prompt, login: this.name, password: "x" });
      } else {
        return answer;
      }
    }
    throw new Error(`no end of it at ${answer.url}`);
  }

  /** What was asked for since it was last looked at. */
  took() {
    return this.asked.splice(0);
  }
}
