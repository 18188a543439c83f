// The server under test, its WHIP and WHEP, and peers in other processes.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import readline from 'node:readline';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = path.join(here, '..', '..');
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
const binary = process.env.CONFERENCE ?? path.join(target, 'debug', 'conference');

// Starts the server and waits for the address it prints.
export async function startServer(...options) {
  const listen = options.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
  const child = spawn(binary, [...listen, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.on('data', data => { log += data; });
  const exited = new Promise(resolve => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    readline.createInterface({ input: child.stdout }).on('line', line => {
      const found = line.match(/https?:\/\/\S+/);
      if (found) resolve(found[0]);
    });
    child.once('error', error => reject(new Error(`cannot start ${binary}: ${error.message}`)));
    exited.then(code => reject(new Error(`the server ended with ${code}:\n${log}`)));
  });
  return {
    url,
    log: () => log,
    // Asks the server to stop; resolves to its exit code.
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
    // Makes a room; resolves to its code and paths.
    async room() {
      const response = await fetch(new URL('/rooms', url), { method: 'POST' });
      if (response.status !== 201) throw new Error(`no room: ${response.status}`);
      return response.json();
    },
    // Posts an offer; resolves to the answer and the session's address and tag.
    async offer(endpoint, sdp) {
      const headers = { 'content-type': 'application/sdp' };
      const response = await fetch(new URL(endpoint, url), { method: 'POST', headers, body: sdp });
      const body = await response.text();
      if (response.status !== 201) throw new Error(`${endpoint}: ${response.status} ${body}`);
      return {
        answer: body,
        session: new URL(response.headers.get('location'), url),
        tag: response.headers.get('etag'),
      };
    },
  };
}

// A peer in a process of its own, which says its offer and its statistics as lines of JSON.
export class Peer {
  #child;
  #said = {};
  #log = '';

  constructor(command, ...args) {
    this.#child = spawn(command, args, { cwd: here, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr.on('data', data => { this.#log = (this.#log + data).slice(-4_000); });
    this.#child.on('error', error => { this.#log += error; });
    this.#child.stdin.on('error', () => {}); // it ended by itself, which `log` explains
    readline.createInterface({ input: this.#child.stdout }).on('line', line => {
      try {
        Object.assign(this.#said, JSON.parse(line));
      } catch {
        this.#log += `${line}\n`; // libraries speak on stdout too
      }
    });
  }

  static aiortc(part, ...args) {
    const python = process.env.AIORTC_PYTHON ?? path.join(here, '.venv', 'bin', 'python');
    return new Peer(python, 'peers/aiortc_peer.py', part, ...args);
  }

  // The system's Python: its bindings of GStreamer are in no venv.
  static gstreamer(part, certificate) {
    return new Peer('/usr/bin/python3', 'peers/gstreamer_peer.py', part, certificate);
  }

  static wrtc(part) {
    return new Peer(process.execPath, 'peers/wrtc_peer.mjs', part);
  }

  get stats() {
    return this.#said.stats ?? {};
  }

  get log() {
    return `${this.#log}${this.#said.error ?? ''} last said: ${JSON.stringify(this.stats)}`;
  }

  // Opens a session with its offer.
  async join(server, endpoint) {
    const sdp = await until('the peer offers', () => this.#said.offer, 30);
    const { answer, session } = await server.offer(endpoint, sdp);
    this.session = session;
    this.#child.stdin.write(`${JSON.stringify({ answer })}\n`);
  }

  async leave() {
    if (this.session) await fetch(this.session, { method: 'DELETE' }).catch(() => {});
    const ended = new Promise(resolve => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) resolve();
      this.#child.once('exit', resolve);
    });
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2_000);
    await ended;
    clearTimeout(timer);
  }
}

// Repeats `probe` until it returns something true.
export async function until(what, probe, seconds = 30) {
  const deadline = Date.now() + seconds * 1_000;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await sleep(200);
  }
}
