// @ts-check
// Four servers that read HTTP/1 each in its own way, and a socket that keeps every byte.
import { startApache } from "./apache.js";
import { startNginx } from "./nginx.js";
import { startNode } from "./node.js";
import { startPython } from "./python.js";
import { startWire } from "./wire.js";

/**
 * What a server itself says that it saw: a request, or something that it refused.
 * @typedef {{method?: string, target?: string, refused?: number}} Seen
 * @typedef {{name: string, url: string, seen: () => Promise<Seen[]>}} Upstream
 */

/**
 * @param {import("../support/later.js").Owner} owner
 */
export async function startUpstreams(owner) {
  const [nginx, apache, node, python, wire] = await Promise.all([
    startNginx(owner),
    startApache(owner),
    startNode(owner),
    startPython(owner),
    startWire(owner),
  ]);
  return { nginx, apache, node, python, wire };
}
