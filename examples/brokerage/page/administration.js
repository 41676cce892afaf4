// @ts-check
// For the administrator: who is known at the desk, and what was done.
import { now, say, time } from "./dom.js";
import { json } from "./session.js";
import { createTable } from "./table.js";

export async function startAdministration() {
  /** @type {ReturnType<typeof createTable<{id: string, name: string, role: string}>>} */
  const users = createTable("users-table", {
    key: (row) => row.id,
    empty: "No users.",
    columns: [
      { title: "User", kind: "key", value: (row) => row.id },
      { title: "Name", value: (row) => row.name },
      { title: "Role", value: (row) => row.role },
    ],
  });
  /** @type {ReturnType<typeof createTable<{at: string, user: string, what: string}>>} */
  const audit = createTable("audit-table", {
    key: (row) => `${row.at} ${row.user} ${row.what}`,
    empty: "Nothing was done yet.",
    columns: [
      { title: "When", value: (row) => row.at, show: (row) => time(row.at) },
      { title: "User", value: (row) => row.user },
      { title: "What", value: (row) => row.what },
    ],
  });
  try {
    const [known, done] = await Promise.all([json("/api/users"), json("/api/audit")]);
    users.render(known.users);
    audit.render(done.entries);
    say("users", "live", `As of ${now()}`);
    say("audit", "live", `As of ${now()}`);
  } catch {
    say("users", "stopped", "Not loaded");
    say("audit", "stopped", "Not loaded");
  }
}
