// @ts-check
// What was done at the desk and by whom, newest first, for the administrator.

const MOST = 500;

export function createAudit() {
  /** @type {{at: string, user: string, what: string}[]} */
  const entries = [];
  return {
    /**
     * @param {string} user
     * @param {string} what
     */
    add(user, what) {
      entries.unshift({ at: new Date().toISOString(), user, what });
      if (entries.length > MOST) entries.pop();
    },
    list: () => entries,
  };
}

/** @typedef {ReturnType<typeof createAudit>} Audit */
