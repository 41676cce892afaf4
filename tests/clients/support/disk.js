// @ts-check
// A disk of a program's own, small, to be filled, made read-only or broken: a file with an ext4 file system in it, mounted where only
// the program sees it. All of it is the kernel's; the program is as anybody has it.
import { openSync, rmSync, writeSync, closeSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { later } from "./later.js";
import { Server, folder, run } from "./program.js";

/** Ends the life of a file system as a broken cable does: from now on every call fails, and what was not synced is gone. */
const SHUT_DOWN = `
import fcntl, os, struct, sys
GOING_DOWN, WITHOUT_FLUSH = 0x8004587D, 2
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), GOING_DOWN, struct.pack("I", WITHOUT_FLUSH))
`;

/** What a part of this takes, tried once: false, or why the tests cannot be run. */
export async function noDisks() {
  const probe = `file=$(mktemp) && trap 'rm "$file"' EXIT && truncate -s 8M "$file" && mkfs.ext4 -q -F "$file" && mount -o loop "$file" /mnt`;
  const tried = await run("unshare", ["--mount", "sh", "-ec", probe], { env: SBIN }).catch((error) => ({ code: 1, stderr: `${error}` }));
  return tried.code === 0 ? false : `NOT RUN: no file systems can be mounted here: ${tried.stderr.trim()}`;
}

const SBIN = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/**
 * @param {import("./later.js").Owner} owner
 * @param {string} size of the disk
 */
export async function startDisk(owner, size) {
  const dir = await folder(owner);
  const [image, data] = [path.join(dir, "image"), path.join(dir, "data")];
  await mkdir(data);
  await must("truncate", "-s", size, image);
  await must("mkfs.ext4", "-q", "-F", "-m", "0", image);
  // Holds the mounts; with it they are gone.
  const holder = new Server("unshare", ["--mount", "sh", "-c", "echo held; exec sleep 3600"]);
  later(owner, () => holder.stop("SIGKILL"));
  await holder.ready(() => holder.stdout.includes("held"));
  const under = ["nsenter", "--target", String(holder.child.pid), "--mount"];
  const inside = (/** @type {string[]} */ ...line) => must(...under, ...line);
  /** The folder as others see it. */
  const seen = `/proc/${holder.child.pid}/root${data}`;
  const mount = () => inside("mount", "-o", "loop,errors=remount-ro", image, data);
  await mount();
  await inside("chmod", "700", data);

  const filler = path.join(seen, "filler");
  return {
    /** The folder of the configuration; the data are on the disk. */
    dir,
    data,
    /** What a command is put behind to see the disk. */
    under,
    inside,
    /** Takes every byte. */
    fill() {
      const file = openSync(filler, "w");
      try {
        for (let bytes = 1 << 20; bytes >= 1; bytes >>= 1) writeUntilFull(file, bytes);
      } finally {
        closeSync(file);
      }
    },
    /** Gives them back. */
    empty: () => rmSync(filler),
    /** What the kernel does when it finds its structures damaged: no more writes, reading goes on. */
    goReadOnly: () => inside("mount", "-o", "remount,abort", data),
    /** Every call fails with EIO, and what was not synced is gone. */
    breakDown: () => inside("python3", "-c", SHUT_DOWN, data),
    /** Another cable: mounted anew, once nothing runs on it. */
    async mend() {
      await inside("umount", data);
      // 1: there was something to put right, and it is.
      await must("sh", "-c", 'fsck.ext4 -p "$0" || [ $? = 1 ]', image);
      await mount();
    },
  };
}

/** @param {number} file @param {number} bytes */
function writeUntilFull(file, bytes) {
  for (;;) {
    try {
      writeSync(file, Buffer.alloc(bytes));
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code === "ENOSPC") return;
      throw error;
    }
  }
}

/** @param {string[]} line */
async function must(...[command, ...args]) {
  const { code, stdout, stderr } = await run(command, args, { env: SBIN });
  if (code !== 0) throw new Error(`${[command, ...args].join(" ")} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}
