// @ts-check
// A certified OpenID provider (npm `oidc-provider`) in this process, and a person who walks through it without a browser.
import http from "node:http";
import { Provider } from "oidc-provider";
import { ask } from "./http.js";
import { later } from "./later.js";

const CLIENT = "nightlatch";
export const SECRET = "a secret: with/characters+that&need=encoding";

/**
 * @param {import("./later.js").Owner} owner
 * @param {string[]} redirects where a client of it may be answered
 * @param {{authentication?: "client_secret_basic" | "client_secret_post"}} [options]
 */
export async function startProvider(owner, redirects, { authentication = "client_secret_basic" } = {}) {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  // Another host than the gateway's, or a browser would show each the cookies of the other.
  const issuer = `http://localhost:${port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: CLIENT, client_secret: SECRET, redirect_uris: redirects, token_endpoint_auth_method: authentication }],
    claims: { openid: ["sub"], groups: ["groups"] },
    scopes: ["openid", "groups"],
    conformIdTokenClaims: false,
    cookies: { keys: ["a key of this run"] },
    findAccount: (_, sub) => ({ accountId: sub, claims: async () => ({ sub, groups: sub === "nobody" ? undefined : ["traders", "desk 4"] }) }),
    features: { devInteractions: { enabled: true } },
  });
  /** @type {string[]} every request, method and path */
  const asked = [];
  const answer = provider.callback();
  server.on("request", (request, response) => {
    asked.push(`${request.method} ${request.url?.split("?")[0]}`);
    return answer(request, response);
  });
  later(owner, () => stop());
  function stop() {
    server.closeAllConnections();
    server.close();
  }
  return {
    issuer,
    asked,
    stop,
    /** It says of every authentication that it was an hour ago, as a provider does that lets people pass by a session of its own. */
    ageBy(/** @type {number} */ seconds) {
      provider.Session.prototype.authTime = function () {
        return this.loginTs - seconds;
      };
    },
    /** What `startSite` needs to sign people in here. */
    site: (lines = "") => ({
      form: false,
      env: { OIDC_SECRET: SECRET },
      identity: `[[identity.oidc]]\nissuer = "${issuer}"\nclient_id = "${CLIENT}"\nclient_secret_env = "OIDC_SECRET"
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

  /** @param {string} name */
  constructor(name) {
    this.name = name;
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
    const answer = await ask(url, { method: form ? "POST" : "GET", headers, body: form && new URLSearchParams(form).toString() });
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
