// @ts-check
// Short messages to one user, or to everyone in a role. The page asks for them every three seconds.

const MOST = 200;

/** @typedef {{id: number, at: string, text: string}} Notification */

export function createNotifications() {
  /** @type {(Notification & {to: string})[]} */
  const all = [];
  let next = 1;

  return {
    /**
     * @param {string} to a user's id, or `role:` and a role
     * @param {string} text
     */
    add(to, text) {
      all.push({ id: next++, at: new Date().toISOString(), text, to });
      if (all.length > MOST) all.shift();
    },

    /**
     * @param {import("./who.js").User} user
     * @param {number} after only those with a higher id
     * @returns {Notification[]}
     */
    list: (user, after) =>
      all
        .filter((n) => n.id > after && (n.to === user.id || n.to === `role:${user.role}`))
        .map(({ id, at, text }) => ({ id, at, text })),
  };
}

/** @typedef {ReturnType<typeof createNotifications>} Notifications */
