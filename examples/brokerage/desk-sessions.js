// @ts-check
// The desk's own cookie, as most applications have one. It opens nothing: who is asking comes from the header.
// It only keeps together what one browser did, and it belongs to the user for whom it was first set.
import { randomBytes } from "node:crypto";

const COOKIE = "desk_session";
const MOST = 10_000;

/** @param {import("node:http").IncomingMessage} req */
function cookieOf(req) {
  for (const part of (req.headers.cookie ?? "").split(";")) {
    const [name, ...value] = part.trim().split("=");
    if (name === COOKIE) return value.join("=");
  }
  return null;
}

export function createDeskSessions() {
  /** @type {Map<string, string>} value of the cookie -> user */
  const owners = new Map();

  return {
    /**
     * The cookie as it came, and whom the desk had bound it to.
     * @param {import("node:http").IncomingMessage} req
     */
    seen(req) {
      const value = cookieOf(req);
      return { value, owner: (value !== null && owners.get(value)) || null };
    },

    /**
     * At a page load: keeps the cookie if it is this user's, else gives a new one.
     * @param {import("node:http").IncomingMessage} req
     * @param {import("./who.js").User} user
     * @returns {string | undefined} the Set-Cookie to send
     */
    open(req, user) {
      const { owner } = this.seen(req);
      if (owner === user.id) return undefined;
      const value = randomBytes(24).toString("base64url");
      owners.set(value, user.id);
      const oldest = owners.keys().next().value;
      if (owners.size > MOST && oldest !== undefined) owners.delete(oldest);
      return `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Lax`;
    },
  };
}
