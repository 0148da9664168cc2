// Chromium by the pipe of its debugger, for measurements of memory: a test driver listens to the network,
// and then the page's process keeps the bodies of answers.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { EXECUTABLE, FLAGS } from './browser.mjs';

/** A page of 640x360 in a browser with a profile of its own. */
export async function launchBare() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'exgs-viewer-'));
  const flags = [...FLAGS, '--enable-unsafe-swiftshader', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'];
  const browser = spawn(EXECUTABLE, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => browser.once('exit', resolve));
  const pipe = new Pipe(browser.stdio[3], browser.stdio[4]);
  const { targetInfos } = await pipe.send('Target.getTargets');
  const { targetId } = targetInfos.find(({ type }) => type === 'page');
  const { sessionId } = await pipe.send('Target.attachToTarget', { targetId, flatten: true });
  const page = new Page(pipe, sessionId);
  await page.begin();
  const close = async () => {
    await pipe.send('Browser.close').catch(() => {});
    await ended;
    fs.rmSync(profile, { recursive: true, force: true });
  };
  return { page, profile, close };
}

/** Commands and events as JSON, each ended by a zero byte. */
class Pipe {
  #out;
  #serial = 0;
  #answers = new Map();
  #listeners = [];

  constructor(out, into) {
    this.#out = out;
    let rest = '';
    into.setEncoding('utf8');
    into.on('data', (text) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop();
      for (const message of messages) this.#receive(JSON.parse(message));
    });
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#serial;
    this.#out.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject, method }));
  }

  /** Calls `heard(params, sessionId)` at each event of this name. */
  on(method, heard) {
    this.#listeners.push({ method, heard });
  }

  #receive({ id, method, params, sessionId, result, error }) {
    if (id === undefined) {
      for (const listener of this.#listeners) if (listener.method === method) listener.heard(params, sessionId);
      return;
    }
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    if (error) answer.reject(new Error(`${answer.method}: ${error.message}`));
    else answer.resolve(result);
  }
}

/** One page, the workers that it starts, and what it says. */
class Page {
  /** Console messages and exceptions. */
  messages = [];
  #pipe;
  #session;
  #workers = new Set();

  constructor(pipe, session) {
    this.#pipe = pipe;
    this.#session = session;
  }

  async begin() {
    const pipe = this.#pipe;
    pipe.on('Target.attachedToTarget', ({ sessionId }) => this.#workers.add(sessionId));
    pipe.on('Target.detachedFromTarget', ({ sessionId }) => this.#workers.delete(sessionId));
    pipe.on('Runtime.consoleAPICalled', ({ type, args }) => {
      if (type !== 'debug') this.messages.push(args.map(({ value, description }) => value ?? description).join(' '));
    });
    pipe.on('Runtime.exceptionThrown', ({ exceptionDetails }) => this.messages.push(textOf(exceptionDetails)));
    pipe.on('Log.entryAdded', ({ entry }) => {
      if (entry.level !== 'verbose' && !entry.text.includes('ReadPixels')) this.messages.push(entry.text);
    });
    for (const domain of ['Runtime', 'Log', 'Page']) await this.send(`${domain}.enable`);
    await this.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: true });
    await this.send('Emulation.setDeviceMetricsOverride', { width: 640, height: 360, deviceScaleFactor: 1, mobile: false });
  }

  send(method, params) {
    return this.#pipe.send(method, params, this.#session);
  }

  on(method, heard) {
    this.#pipe.on(method, heard);
  }

  /** Sends a command to the page and to each worker; the answers of those that have not ended meanwhile. */
  async sendToAll(method) {
    const sessions = [this.#session, ...this.#workers];
    const answers = await Promise.all(sessions.map((session) => this.#pipe.send(method, {}, session).catch(() => null)));
    return answers.filter((answer) => answer !== null);
  }

  /** Goes to an address and waits until `condition`, a function, holds in the page. */
  async goto(url, condition) {
    await this.send('Page.navigate', { url });
    while (!(await this.evaluate(condition).catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 100));
  }

  /** Calls a function in the page; its argument and its result are plain values. */
  async evaluate(call, argument = null) {
    const expression = `(${call})(${JSON.stringify(argument)})`;
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(textOf(exceptionDetails));
    return result.value;
  }
}

function textOf({ text, exception }) {
  return exception?.description ?? text;
}
