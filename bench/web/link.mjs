// A slow link in user space: a TCP proxy that all connections of a browser share.
//
// What the server sends waits for its turn (segments of 1460 bytes, connections in turn, as competing
// TCP flows would), takes its time at the rate of the link, and arrives a delay later. What the browser
// sends arrives a delay later, and the first of it one round trip more: the handshake. TCP's slow start
// is not modelled.

import net from 'node:net';

const SEGMENT_BYTES = 1460;
const WINDOW_BYTES = 128 << 10; // of one connection, between server and link

/** Hands things on at their times, in the order in which they came. */
class Pipe {
  #waiting = [];
  #timer = null;

  constructor(take) {
    this.take = take;
  }

  put(item, dueMs) {
    this.#waiting.push({ item, dueMs });
    this.#arm();
  }

  close() {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #arm() {
    if (this.#timer !== null || this.#waiting.length === 0) return;
    const wait = this.#waiting[0].dueMs - performance.now();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const now = performance.now() + 0.5;
      while (this.#waiting.length > 0 && this.#waiting[0].dueMs <= now) {
        this.take(this.#waiting.shift().item);
      }
      this.#arm();
    }, Math.max(0, wait));
  }
}

/**
 * Opens a link to a port of this machine.
 * @param {number} target
 * @param {{ mbit: number, delayMs: number }} link rate of what comes down; one way
 */
export async function openLink(target, { mbit, delayMs }) {
  const bytesPerMs = (mbit * 1e6) / 8 / 1000;
  /** @type {Set<Line>} */
  const lines = new Set();
  /** @type {Line[]} */
  let turn = [];
  let freeMs = 0; // when the link has sent what it was given
  let timer = null;
  let sentBytes = 0;
  let connections = 0;
  let isUp = true;

  class Line {
    constructor(browser) {
      this.browser = browser;
      this.queue = [];
      this.queued = 0;
      this.isEnded = false;
      this.server = net.connect(target, '127.0.0.1');
      const openMs = performance.now() + 2 * delayMs;
      browser.setNoDelay(true);
      this.server.setNoDelay(true);
      this.up = new Pipe((data) => this.server.writable && this.server.write(data));
      this.down = new Pipe((data) => (data === null ? browser.end() : browser.write(data)));
      browser.on('data', (data) => this.up.put(data, Math.max(performance.now(), openMs) + delayMs));
      this.server.on('data', (data) => {
        for (let at = 0; at < data.length; at += SEGMENT_BYTES) {
          this.queue.push(data.subarray(at, at + SEGMENT_BYTES));
        }
        this.queued += data.length;
        if (this.queued > WINDOW_BYTES) this.server.pause();
        if (!turn.includes(this)) turn.push(this);
        pump();
      });
      this.server.on('end', () => {
        this.isEnded = true;
        if (this.queue.length === 0) this.down.put(null, performance.now() + delayMs);
      });
      const close = () => {
        lines.delete(this);
        this.up.close();
        this.down.close();
        turn = turn.filter((line) => line !== this);
        browser.destroy();
        setTimeout(() => this.server.destroy(), delayMs);
      };
      browser.on('close', close);
      browser.on('error', close);
      this.server.on('error', () => browser.destroy());
    }

    /** Sends one segment; it is on the link until `doneMs`. */
    send(doneMs) {
      const data = this.queue.shift();
      this.queued -= data.length;
      if (this.queued < WINDOW_BYTES / 2) this.server.resume();
      sentBytes += data.length;
      this.down.put(data, doneMs + delayMs);
      if (this.isEnded && this.queue.length === 0) this.down.put(null, doneMs + delayMs);
    }
  }

  function pump() {
    if (timer !== null || !isUp) return;
    const now = performance.now();
    freeMs = Math.max(freeMs, now);
    while (turn.length > 0 && freeMs <= now + 2) {
      const line = turn.shift();
      freeMs += line.queue[0].length / bytesPerMs;
      line.send(freeMs);
      if (line.queue.length > 0) turn.push(line);
    }
    if (turn.length === 0) return;
    timer = setTimeout(() => {
      timer = null;
      pump();
    }, freeMs - now - 1);
  }

  const listener = net.createServer((socket) => {
    if (!isUp) {
      socket.destroy();
      return;
    }
    connections++;
    lines.add(new Line(socket));
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: listener.address().port,
    /** Bytes that have gone down. */
    get sentBytes() {
      return sentBytes;
    },
    /** Connections that were opened. */
    get connections() {
      return connections;
    },
    /** Takes the link down, with all connections, or up. */
    setUp(up) {
      isUp = up;
      if (!up) for (const line of lines) line.browser.destroy();
    },
    async close() {
      clearTimeout(timer);
      for (const line of lines) line.browser.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
