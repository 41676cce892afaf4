// @ts-check
// What is to be undone when a test is over: in reverse order, each whatever became of the others.

/** @typedef {{after: (undo: () => Promise<void>) => void}} Owner a test, or a file through its `before` */

/** @type {WeakMap<Owner, (() => unknown)[]>} */
const stacks = new WeakMap();

/**
 * @param {Owner} owner
 * @param {() => unknown} undo
 */
export function later(owner, undo) {
  const known = stacks.get(owner);
  if (known) {
    known.push(undo);
    return;
  }
  const stack = [undo];
  stacks.set(owner, stack);
  owner.after(async () => {
    /** @type {unknown[]} */
    const wrong = [];
    for (const step of stack.reverse()) {
      try {
        await step();
      } catch (error) {
        wrong.push(error);
      }
    }
    if (wrong.length > 0) throw wrong[0];
  });
}

/**
 * An owner for what all tests of a file share. To be made where `after` means the end of the file.
 * @param {(undo: () => Promise<void>) => void} after
 * @returns {Owner}
 */
export function shared(after) {
  /** @type {(() => Promise<void>)[]} */
  const undos = [];
  after(async () => {
    for (const undo of undos) await undo();
  });
  return { after: (undo) => void undos.push(undo) };
}
