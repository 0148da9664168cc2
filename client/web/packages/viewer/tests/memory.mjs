// What a page in Chromium holds: JavaScript objects and array buffers, workers included, and its processes.

import fs from 'node:fs';

export const HELD = ['heapBytes', 'arrayBytes', 'rendererBytes', 'gpuProcessBytes'];

/**
 * Follows a page by its debugger session, to be called before it starts workers. Returns a function that
 * collects garbage and tells what is held then: objects and array buffers of the page and of its workers,
 * and resident memory of the processes of the browser with this profile.
 */
export async function followMemory(devtools, profile) {
  const workers = await followWorkers(devtools);
  return async () => {
    const held = { heapBytes: 0, arrayBytes: 0 };
    for (const send of [(method) => devtools.send(method), ...workers.values()]) {
      await send('HeapProfiler.collectGarbage').catch(() => {});
      const usage = await send('Runtime.getHeapUsage').catch(() => null); // the worker has ended meanwhile
      held.heapBytes += usage?.usedSize ?? 0;
      held.arrayBytes += usage?.backingStorageSize ?? 0;
    }
    return { ...held, rendererBytes: resident(profile, 'renderer'), gpuProcessBytes: resident(profile, 'gpu-process') };
  };
}

/** Follows the page's workers; gives for each a function that sends it a command of the debugger. */
async function followWorkers(devtools) {
  const found = new Map();
  const waiting = new Map();
  let serial = 0;
  devtools.on('Target.attachedToTarget', ({ sessionId }) => {
    found.set(sessionId, (method) => {
      const id = ++serial;
      const message = JSON.stringify({ id, method });
      const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
      devtools.send('Target.sendMessageToTarget', { sessionId, message }).catch((error) => waiting.get(id)?.reject(error));
      return answer;
    });
  });
  devtools.on('Target.detachedFromTarget', ({ sessionId }) => found.delete(sessionId));
  devtools.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result, error } = JSON.parse(message);
    if (error) waiting.get(id)?.reject(new Error(error.message));
    else waiting.get(id)?.resolve(result);
    waiting.delete(id);
  });
  await devtools.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  return found;
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
