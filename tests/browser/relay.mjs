// A path of one's own between pages and a server: the simulator's link as a relay of UDP (`examples/relay.rs`), for tests
// of what becomes of a call where it is narrow.
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { freePort, startServer, until } from './visitors.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
const program = process.env.RELAY ?? path.join(target, 'debug', 'examples', 'relay');

// The relay before a server; its first line of figures comes a second after the first datagram.
function startRelay(listen, server, down) {
  const child = spawn(program, [`127.0.0.1:${listen}`, `127.0.0.1:${server}`,
    '--down', down, '--delay', '20', '--queue', '300'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = [];
  child.stdout.on('data', data => lines.push(...data.toString().split('\n').filter(Boolean)));
  child.once('error', error => { throw new Error(`cannot start ${program}: ${error.message}`); });
  return { lines, stop: () => child.kill() };
}

// A server whose media goes through a relay; `down` says what it carries to the pages, as the relay's `--down` does.
export async function startBehindRelay(down) {
  const [udp, listen] = [await freePort(), await freePort()];
  const decisions = process.env.DECISIONS ?? path.join(tmpdir(), `estafette-decisions-${process.pid}-${listen}.jsonl`);
  const server = await startServer(0, ['--udp', `127.0.0.1:${udp}`, '--announce', `127.0.0.1:${listen}`,
    '--engines', '1', '--carriers', 'udp', '--decision-log', decisions]);
  const relay = startRelay(listen, udp, down);
  return {
    url: server.url,
    // Resolves to when the relay's clock began, which runs from the first datagram.
    async began() {
      await until('the relay has begun', () => relay.lines.length > 1);
      return Date.now() - 1_000;
    },
    log: () => `the relay:\n${relay.lines.join('\n')}\nthe server's log:\n${server.log()}\n`
      + `what it decided at last:\n${readFileSync(decisions, 'utf8').split('\n').slice(-80).join('\n')}`,
    async stop() {
      await server.stop();
      relay.stop();
      if (!process.env.DECISIONS) rmSync(decisions, { force: true });
    },
  };
}

// What a visitor's page receives: the picture and the sound.
export const look = visitor => visitor.page.evaluate(async () => {
  const stats = [...(await conference.peer.getStats()).values()];
  const inbound = kind => stats.find(s => s.type === 'inbound-rtp' && s.kind === kind && s.packetsReceived > 0) ?? {};
  const [video, audio] = [inbound('video'), inbound('audio')];
  return {
    at: Date.now(),
    height: video.frameHeight ?? 0,
    frames: video.framesDecoded ?? 0,
    bytes: video.bytesReceived ?? 0,
    frozen: video.totalFreezesDuration ?? 0,
    samples: audio.totalSamplesReceived ?? 0,
    // Samples that stand for what was never sent, as in a pause, are no loss.
    concealed: (audio.concealedSamples ?? 0) - (audio.silentConcealedSamples ?? 0),
  };
});

// What a visitor's camera sends: the lines of its largest stream, and what holds it down.
export const offer = visitor => visitor.page.evaluate(async () => {
  const stats = [...(await conference.peer.getStats()).values()];
  const sent = stats.filter(s => s.type === 'outbound-rtp' && s.kind === 'video' && s.framesPerSecond > 0);
  return {
    lines: Math.max(0, ...sent.map(({ frameHeight }) => frameHeight ?? 0)),
    why: [...new Set(sent.map(s => s.qualityLimitationReason))],
  };
});

// The share of the sound that is concealed between two looks.
export const concealedShare = (first, last) => (last.concealed - first.concealed) / (last.samples - first.samples);
