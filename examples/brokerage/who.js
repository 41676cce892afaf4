// @ts-check
// Who is asking. The desk has no sign-in of its own: whatever stands before it names the user in a header,
// and whoever starts the desk says which header that is.
import { Problem } from "./http.js";

/** @typedef {"trader" | "supervisor" | "administrator"} Role */
/** @typedef {{id: string, name: string, role: Role}} User */

export const ROLES = /** @type {const} */ (["trader", "supervisor", "administrator"]);

/** @type {User[]} */
const KNOWN = [
  { id: "trader", name: "Tess Marlow", role: "trader" },
  { id: "trader2", name: "Ravi Anand", role: "trader" },
  { id: "supervisor", name: "Ines Duarte", role: "supervisor" },
  { id: "administrator", name: "Owen Clarke", role: "administrator" },
];

/**
 * @param {{userHeader?: string, users?: {id: string, role: Role}[]}} options
 */
export function createWho({ userHeader, users = [] }) {
  /** @type {Map<string, User>} */
  const byId = new Map(KNOWN.map((user) => [user.id, user]));
  for (const { id, role } of users) byId.set(id, { id, name: id, role });
  const wanted = userHeader?.toLowerCase();

  return {
    /** @returns {User[]} */
    all: () => [...byId.values()],

    configured: wanted !== undefined,

    requireConfigured() {
      if (wanted === undefined) {
        throw new Problem(
          403,
          "No user header configured",
          "The desk was started without --user-header, so it cannot know who is asking.",
        );
      }
    },

    /**
     * @param {import("node:http").IncomingMessage} req
     * @returns {User}
     */
    identify(req) {
      this.requireConfigured();
      /** @type {string[]} */
      const values = [];
      for (let i = 0; i < req.rawHeaders.length; i += 2) {
        if (req.rawHeaders[i].toLowerCase() === wanted) values.push(req.rawHeaders[i + 1]);
      }
      if (values.length === 0 || values[0] === "") {
        throw new Problem(403, "No user named", `The request came without ${userHeader}.`);
      }
      if (values.length > 1) {
        throw new Problem(403, "More than one user named", `The request has ${userHeader} twice.`);
      }
      const user = byId.get(values[0]);
      if (!user) {
        throw new Problem(403, "Not known at this desk", "Ask an administrator to add you.");
      }
      return user;
    },
  };
}

/** @typedef {ReturnType<typeof createWho>} Who */

/**
 * @param {User} user
 * @param {Role[]} roles
 */
export function requireRole(user, ...roles) {
  if (!roles.includes(user.role)) {
    throw new Problem(403, "Not part of your role", `This is for: ${roles.join(", ")}.`);
  }
}

/**
 * The browser sends Sec-Fetch-Site by itself and scripts cannot forge it: an unsafe request or a socket that a
 * page of another site started is refused.
 * @param {import("node:http").IncomingMessage} req
 */
export function refuseForeignSite(req) {
  const site = req.headers["sec-fetch-site"];
  if (site === "cross-site" || site === "same-site") {
    throw new Problem(403, "Sent from another site", "This can only be done from the desk's own page.");
  }
}
