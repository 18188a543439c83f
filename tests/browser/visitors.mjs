// The server under test and its visitors: Chromium pages that use the page as people do.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
const server = process.env.CONFERENCE ?? path.join(target, 'debug', 'conference');
const screenshots = process.env.SCREENSHOTS ? path.join(root, 'tests', 'browser', 'out') : null;

// Starts the server and waits for the address it prints. `port` 0 is any free one.
// `more` are further options of the server.
export async function startServer(port = 0, more = []) {
  const child = spawn(server, ['--listen', `127.0.0.1:${port}`, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.on('data', data => { log += data; });
  const exited = new Promise(resolve => child.once('exit', code => resolve(code)));
  const address = new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', data => {
      text += data;
      const found = text.match(/https?:\/\/\S+/);
      if (found) resolve(found[0]);
    });
    child.once('error', error => reject(new Error(`cannot start ${server}: ${error.message}`)));
    exited.then(code => reject(new Error(`the server ended with ${code}:\n${log}`)));
  });
  return {
    url: await address,
    pid: child.pid,
    log: () => log,
    // Asks the server to stop; resolves to its exit code.
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
  };
}

// A port of UDP that is free now.
export async function freePort() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

// `more` are further switches of the browser.
export function launchBrowser(more = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-extensions',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', '--mute-audio',
      // Several pages at once, none of them in front.
      '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
      '--disable-backgrounding-occluded-windows',
      '--autoplay-policy=no-user-gesture-required',
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
      ...more,
    ],
  });
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

export class Visitor {
  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.errors = [];
    page.on('pageerror', error => this.errors.push(`${name}: ${error}`));
    page.on('console', message => {
      // That a server is down, as some tests want it, the browser says by itself.
      const down = message.text().includes('net::ERR_CONNECTION_REFUSED');
      if (message.type() === 'error' && !down) this.errors.push(`${name}: ${message.text()}`);
    });
  }

  // `prepare` is given the page before it loads.
  static async arrive(browser, name, url, prepare = () => {}) {
    const page = await browser.newPage({ viewport: { width: 1100, height: 760 } });
    await prepare(page);
    await page.goto(url);
    await page.getByLabel('Your name').fill(name);
    return new Visitor(name, page);
  }

  // Creates a room and returns its link.
  async create() {
    await this.page.getByRole('button', { name: 'Create a room' }).click();
    await this.page.locator('#room').waitFor({ timeout: 20_000 });
    return this.page.locator('#link').getAttribute('href');
  }

  async join() {
    await this.page.getByRole('button', { name: 'Join the room' }).click();
    await this.page.locator('#room').waitFor({ timeout: 20_000 });
  }

  async leave() {
    await this.page.getByRole('button', { name: 'Leave' }).click();
    await this.page.locator('#door').waitFor();
  }

  status() {
    return this.page.locator('#status').textContent();
  }

  // What is received of each other participant, by name, and what is sent. A participant counts
  // once its tile shows its stream; `key` tells one reception from another of the same name.
  sample() {
    return this.page.evaluate(async () => {
      const stats = [...(await conference.peer?.getStats() ?? new Map()).values()];
      // By its receiver: tracks of several participants may have one id.
      const inbound = async track => {
        const receiver = conference.peer?.getReceivers().find(receiver => receiver.track === track);
        return [...(await receiver?.getStats() ?? new Map()).values()].find(s => s.type === 'inbound-rtp');
      };
      const from = {};
      for (const tile of document.querySelectorAll('.tile:not(.own)')) {
        const stream = tile.querySelector('video').srcObject;
        const video = await inbound(stream?.getVideoTracks()[0]);
        const audio = await inbound(stream?.getAudioTracks()[0]);
        if (!video || !audio) continue;
        from[tile.querySelector('.name').textContent] = {
          key: tile.dataset.participant,
          frames: video.framesDecoded ?? 0,
          size: `${video.frameWidth ?? 0}x${video.frameHeight ?? 0}`,
          freezes: video.freezeCount ?? 0,
          energy: audio.totalAudioEnergy ?? 0,
          samples: audio.totalSamplesReceived ?? 0,
        };
      }
      const sent = stats.filter(s => s.type === 'outbound-rtp' && s.kind === 'video');
      const sentBytes = sent.reduce((sum, s) => sum + s.bytesSent + s.headerBytesSent, 0);
      return { at: performance.now(), from, sentBytes };
    });
  }

  // Waits until video and audio of exactly these others arrive.
  receives(names) {
    return until(`${this.name} receives ${names.join(' and ')}`, async () => {
      const { from } = await this.sample();
      const tiles = await this.page.locator('.tile:not(.own)').count();
      return tiles === names.length
        && names.every(name => from[name]?.frames > 0 && from[name].samples > 0);
    });
  }

  // A picture of the page, when they are asked for.
  async picture(name) {
    if (!screenshots) return;
    await mkdir(screenshots, { recursive: true });
    await this.page.screenshot({ path: path.join(screenshots, `${name}.png`) });
  }
}

// Watches all visitors for some seconds. For each of them and each other participant it received
// from: frames per second, audio energy and samples gained; and the bit rate of its own video.
export async function watch(visitors, seconds) {
  const before = await Promise.all(visitors.map(visitor => visitor.sample()));
  await sleep(seconds * 1_000);
  const after = await Promise.all(visitors.map(visitor => visitor.sample()));
  return visitors.map(({ name }, index) => {
    const [start, end] = [before[index], after[index]];
    const time = (end.at - start.at) / 1_000;
    const from = Object.entries(end.from).map(([other, now]) => {
      const then = start.from[other];
      if (then?.key !== now.key) throw new Error(`${name} lost ${other} while being watched`);
      return {
        other,
        fps: (now.frames - then.frames) / time,
        size: now.size,
        freezes: now.freezes - then.freezes,
        energy: now.energy - then.energy,
        samples: now.samples - then.samples,
      };
    });
    return { name, from, sent: (end.sentBytes - start.sentBytes) * 8 / time };
  });
}
