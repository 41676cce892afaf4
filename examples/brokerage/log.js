// @ts-check
// One JSON object a line. Nothing a client sends can break a line: JSON escapes it.

/** @typedef {(entry: {event: string, [name: string]: unknown}) => void} Log */

/**
 * @param {(line: string) => void} write
 * @returns {Log}
 */
export function createLog(write) {
  return (entry) => write(JSON.stringify({ at: new Date().toISOString(), ...entry }) + "\n");
}
