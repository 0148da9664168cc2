// What a page in Chromium holds: JavaScript objects and array buffers, workers included, and its processes.

import fs from 'node:fs';

export const HELD = ['heapBytes', 'arrayBytes', 'rendererBytes', 'gpuProcessBytes'];

/**
 * Collects garbage and returns what is held then: objects and array buffers of the page and of its
 * workers, and resident memory of the processes of the browser with this profile.
 */
export async function heldBy(page, profile) {
  const held = { heapBytes: 0, arrayBytes: 0 };
  await page.sendToAll('HeapProfiler.collectGarbage');
  for (const { usedSize, backingStorageSize } of await page.sendToAll('Runtime.getHeapUsage')) {
    held.heapBytes += usedSize;
    held.arrayBytes += backingStorageSize;
  }
  return { ...held, rendererBytes: resident(profile, 'renderer'), gpuProcessBytes: resident(profile, 'gpu-process') };
}

/** Resident bytes of the browser's processes of a kind. */
function resident(profile, kind) {
  const parents = new Map();
  const commands = new Map();
  for (const id of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      parents.set(id, fs.readFileSync(`/proc/${id}/stat`, 'utf8').split(') ').pop().split(' ')[1]);
      commands.set(id, fs.readFileSync(`/proc/${id}/cmdline`, 'utf8'));
    } catch {
      // It has ended meanwhile
    }
  }
  const isOurs = (id) => id !== undefined && (commands.get(id)?.includes(profile) || isOurs(parents.get(id)));
  let bytes = 0;
  for (const [id, command] of commands) {
    if (!command.includes(`--type=${kind}`) || !isOurs(id)) continue;
    const pages = Number(fs.readFileSync(`/proc/${id}/statm`, 'utf8').split(' ')[1]);
    bytes += pages * 4096;
  }
  return bytes;
}
