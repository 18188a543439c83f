#!/usr/bin/env node
// Records the streams beside it: Chromium's own encoders, sent on loopback to another connection of the
// same page that accepts all simulcast encodings, as an SFU does. Chromium logs each plain RTP packet
// (field trial WebRTC-Debugging-RtpDump). Takes names as arguments; without any it makes all.
//
// npm --prefix tests/browser ci && node tests/data/streams/make.mjs [name ...]
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import http from 'node:http';

const here = fileURLToPath(new URL('.', import.meta.url));
const { chromium } = createRequire(path.join(here, '..', '..', 'browser', 'package.json'))('playwright-core');

const DESCRIPTOR = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';
// What Chromium offers only when asked.
const WANTED = [
  'http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00',
  'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time',
];
// Set at departure, or meaningless without this call's SDP.
const OF_THE_CALL = /abs-send-time|transport-wide-cc|toffset|sdes:/;

const simulcast = (scalabilityMode, rates, size = [640, 360]) => ({
  size,
  encodings: ['q', 'h', 'f'].map((rid, at) => ({
    rid, scalabilityMode, scaleResolutionDownBy: 4 >> at, maxBitrate: rates[at], maxFramerate: 15,
  })),
});
const single = (scalabilityMode, maxBitrate, size) =>
  ({ size, encodings: [{ scalabilityMode, maxBitrate, maxFramerate: 15 }] });

const STREAMS = {
  'vp8-simulcast': { codec: 'VP8', ...simulcast('L1T3', [60_000, 120_000, 250_000]) },
  'h264-simulcast': { codec: 'H264', ...simulcast('L1T3', [60_000, 120_000, 250_000]) },
  'av1-simulcast': { codec: 'AV1', ...simulcast('L1T3', [60_000, 120_000, 250_000]) },
  'vp9-l3t3': { codec: 'VP9', ...single('L3T3', 800_000, [960, 540]) },
  'vp9-l3t3-key': { codec: 'VP9', ...single('L3T3_KEY', 800_000, [960, 540]) },
  'av1-l3t3': { codec: 'AV1', ...single('L3T3', 800_000, [960, 540]) },
  'vp8-l1t3': { codec: 'VP8', ...single('L1T3', 150_000, [320, 180]) },
  'vp8-l1t3-descriptor': { codec: 'VP8', descriptor: true, ...single('L1T3', 150_000, [320, 180]) },
};
const SECONDS = 6; // of each recording
const RAMP = 8; // until all layers are there
const KEY_INTERVAL = 1_000; // milliseconds between key frames

// Everything below runs in the page.
async function call({ codec, size: [width, height], encodings, wanted, unwanted }) {
  const sender = window.sender = new RTCPeerConnection();
  const receiver = window.receiver = new RTCPeerConnection();
  sender.onicecandidate = e => e.candidate && receiver.addIceCandidate(e.candidate);
  receiver.onicecandidate = e => e.candidate && sender.addIceCandidate(e.candidate);
  receiver.ontrack = e => {
    const video = document.createElement('video');
    Object.assign(video, { muted: true, autoplay: true, srcObject: new MediaStream([e.track]) });
    document.body.append(video);
    window.receiving = e.receiver;
  };
  const media = await navigator.mediaDevices.getUserMedia({ video: { width, height } });
  const [track] = media.getVideoTracks();
  const transceiver = window.transceiver = sender.addTransceiver(track, { direction: 'sendonly', sendEncodings: encodings });
  const { codecs } = RTCRtpSender.getCapabilities('video');
  const plain = c => c.mimeType === `video/${codec}` && !/profile-id=[1-3]|profile=[1-2]|packetization-mode=0/.test(c.sdpFmtpLine ?? '')
    && (codec !== 'H264' || /42e01f/.test(c.sdpFmtpLine));
  transceiver.setCodecPreferences(codecs.filter(c => plain(c) || c.mimeType === 'video/rtx'));
  const choose = transceiver => {
    const extensions = transceiver.getHeaderExtensionsToNegotiate();
    for (const extension of extensions) {
      if (wanted.includes(extension.uri)) extension.direction = 'sendrecv';
      if (unwanted.includes(extension.uri)) extension.direction = 'stopped';
    }
    transceiver.setHeaderExtensionsToNegotiate(extensions);
  };
  choose(transceiver);
  await sender.setLocalDescription();
  const offer = sender.localDescription.sdp;
  await receiver.setRemoteDescription({ type: 'offer', sdp: offer });
  const [theirs] = receiver.getTransceivers();
  choose(theirs);
  // A browser can do nothing with several encodings, and would ask for key frames all the time.
  if (encodings.length > 1) theirs.direction = 'inactive';
  await receiver.setLocalDescription();
  // An SFU's answer, and a hint that saves most of the ramp.
  const rids = [...offer.matchAll(/^a=rid:(\S+) send/gm)].map(m => m[1]);
  let answer = receiver.localDescription.sdp.replace(/^a=(rid|simulcast):.*\r\n/gm, '').replace('a=inactive', 'a=recvonly');
  if (rids.length) answer += rids.map(r => `a=rid:${r} recv\r\n`).join('') + `a=simulcast:recv ${rids.join(';')}\r\n`;
  const pt = offer.match(/^m=video \S+ \S+ (\d+)/m)[1];
  const hint = 'x-google-min-bitrate=1500;x-google-start-bitrate=1500';
  answer = answer.includes(`a=fmtp:${pt} `)
    ? answer.replace(new RegExp(`^a=fmtp:${pt} .*`, 'm'), `$&;${hint}`)
    : answer.replace(new RegExp(`^a=rtpmap:${pt} .*\r\n`, 'm'), `$&a=fmtp:${pt} ${hint}\r\n`);
  await sender.setRemoteDescription({ type: 'answer', sdp: answer });
  return { offer, answer };
}

// Asks an encoding for a key frame, or all.
async function keyframe(which) {
  const parameters = transceiver.sender.getParameters();
  const encodingOptions = parameters.encodings.map((_, at) => ({ keyFrame: which === undefined || which === at }));
  await transceiver.sender.setParameters(parameters, { encodingOptions });
}

async function outbound() {
  const stats = [...(await transceiver.sender.getStats()).values()];
  return stats.filter(s => s.type === 'outbound-rtp').map(s => ({
    rid: s.rid ?? null, ssrc: s.ssrc, width: s.frameWidth, height: s.frameHeight, fps: s.framesPerSecond,
    encoder: s.encoderImplementation, mode: s.scalabilityMode, keys: s.keyFramesEncoded, frames: s.framesEncoded,
  }));
}

// `descriptor`: the dependency descriptor is sent. VP8's own descriptor is next to empty then.
async function record(name, { codec, size, encodings, descriptor = codec !== 'VP8' }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'streams-'));
  const log = path.join(folder, 'log');
  const wrapper = path.join(folder, 'chromium');
  const program = process.env.CHROMIUM ?? '/usr/bin/chromium';
  writeFileSync(wrapper, `#!/bin/sh\nexec "${program}" "$@" 2>>"${log}"\n`);
  chmodSync(wrapper, 0o755);
  const server = http.createServer((_, response) => response.end('<!doctype html><body></body>'));
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const trials = { 'WebRTC-Debugging-RtpDump': 'Enabled', 'WebRTC-LegacySimulcastLayerLimit': 'Disabled' };
  const browser = await chromium.launch({
    executablePath: wrapper,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-extensions',
      '--disable-background-networking', '--disable-component-update', '--mute-audio',
      '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=fps=15',
      '--autoplay-policy=no-user-gesture-required',
      '--enable-blink-features=RTCRtpSenderSetParametersKeyFrame,RTCRtpEncodingParametersKeyFrame',
      '--enable-logging=stderr', '--log-level=0', '--vmodule=*/webrtc/*=2',
      `--force-fieldtrials=${Object.entries(trials).map(([k, v]) => `${k}/${v}/`).join('')}`,
    ],
  });
  let described, from, streams;
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${server.address().port}/`);
    const [wanted, unwanted] = descriptor ? [[DESCRIPTOR, ...WANTED], []] : [WANTED, [DESCRIPTOR]];
    described = await page.evaluate(call, { codec, size, encodings, wanted, unwanted });
    await sleep(RAMP * 1_000);
    streams = await page.evaluate(outbound);
    from = Date.now();
    await page.evaluate(keyframe);
    // VP8's encodings have their key frames together whichever is asked.
    const turns = codec === 'VP8' ? 1 : encodings.length;
    for (let turn = 0; turn < (SECONDS + 1) * turns; turn += 1) {
      await sleep(KEY_INTERVAL / turns);
      await page.evaluate(keyframe, turns === 1 ? undefined : turn % turns);
    }
  } finally {
    await browser.close();
    server.close();
  }
  const text = readFileSync(log, 'latin1');
  if (!process.env.KEEP) rmSync(folder, { recursive: true });
  else console.log(log);
  write(name, { codec, encodings }, browser.version(), described, streams, text, from);
}

// The lines of the log: direction, the second of the minute, octets. Moments are those of the clock.
function packetsOf(text, from) {
  const line = /(?:^|\s)([IO]) (\d+):(\d+):(\d+)\.(\d+) 0+ ((?:[0-9a-f]{2} ?)+)/gm;
  const packets = [];
  for (const [, way, , , seconds, millis, hex] of text.matchAll(line)) {
    const passed = (Number(seconds) * 1_000 + Number(millis) - from % 60_000 + 90_000) % 60_000 - 30_000;
    packets.push({ way, at: from + passed, data: Buffer.from(hex.replaceAll(' ', ''), 'hex') });
  }
  return packets;
}

function parse({ at, data }) {
  let header = 12 + 4 * (data[0] & 15);
  const extensions = {};
  if (data[0] & 16) {
    const [profile, end] = [data.readUInt16BE(header), header + 4 + 4 * data.readUInt16BE(header + 2)];
    for (header += 4; header < end;) {
      if (data[header] === 0) { header += 1; continue; }
      const [id, length] = profile === 0xbede
        ? [data[header] >> 4, (data[header] & 15) + 1]
        : [data[header], data[header + 1]];
      header += profile === 0xbede ? 1 : 2;
      extensions[id] = data.subarray(header, header += length);
    }
    header = end;
  }
  const padding = data[0] & 32 ? data[data.length - 1] : 0;
  return {
    at, data, extensions, marker: data[1] >> 7, seq: data.readUInt16BE(2), timestamp: data.readUInt32BE(4),
    ssrc: data.readUInt32BE(8), payload: data.subarray(header, data.length - padding),
  };
}

function vp8Key(payload) {
  if ((payload[0] & 0x17) !== 0x10) return false; // not the start of the first partition
  let at = 1;
  if (payload[0] & 0x80) {
    const has = payload[at++];
    if (has & 0x80) at += payload[at] & 0x80 ? 2 : 1;
    if (has & 0x40) at += 1;
    if (has & 0x30) at += 1;
  }
  return !(payload[at] & 1);
}

// The RTP timestamp of a stream at a moment, after its sender reports; in ticks, not wrapped.
function clockOf(packets, ssrc) {
  const report = packets.find(p => p.way === 'O' && p.data[1] === 200 && p.data.readUInt32BE(4) === ssrc);
  const ntp = report.data.readUInt32BE(8) + report.data.readUInt32BE(12) / 2 ** 32;
  return seconds => report.data.readUInt32BE(16) + (seconds - ntp) * 90_000;
}

const wrapped = ticks => ((Math.round(ticks) % 2 ** 32) + 2 ** 32) % 2 ** 32;
const signed = ticks => (wrapped(ticks) + 2 ** 31) % 2 ** 32 - 2 ** 31;

function write(name, { codec, encodings }, version, { offer }, streams, text, from) {
  const packets = packetsOf(text, from);
  const [, pt] = offer.match(/^m=video \S+ \S+ (\d+)/m).map(Number);
  const fmtp = offer.match(new RegExp(`^a=fmtp:${pt} (.*)\r`, 'm'))?.[1] ?? '';
  const every = [...offer.matchAll(/^a=extmap:(\d+)(?:\/\S+)? (\S+)\r/gm)].map(([, id, uri]) => [id, uri]);
  const extensions = Object.fromEntries(every.filter(([, uri]) => !OF_THE_CALL.test(uri)));
  const [descriptor] = every.find(([, uri]) => uri === DESCRIPTOR) ?? [];
  // A frame that opens with a template structure is a key frame; or VP8 says so itself.
  const key = p => descriptor
    ? p.extensions[descriptor]?.[0] & 0x80 && p.extensions[descriptor]?.[3] & 0x80
    : vp8Key(p.payload);
  const ntp = from / 1_000 + 2_208_988_800;
  streams = encodings.map(({ rid }) => streams.find(s => s.rid === (rid ?? null))).map(stream => {
    let list = packets.filter(p => p.way === 'O' && (p.data[1] & 127) === pt && p.data.readUInt32BE(8) === stream.ssrc).map(parse);
    list = list.slice(list.findIndex(p => p.at >= from && key(p)));
    const last = list.findLastIndex(p => p.at < from + SECONDS * 1_000 && p.marker);
    list = list.slice(0, last + 1);
    list.forEach((p, at) => {
      if (at && p.seq !== (list[at - 1].seq + 1) % 65_536) throw new Error(`${name}: a gap before ${p.seq}`);
      if (!p.payload.length) throw new Error(`${name}: padding in ${p.seq}`);
    });
    return { ...stream, list, keys: list.filter(key).length, clock: clockOf(packets, stream.ssrc) };
  });
  const start = Math.min(...streams.map(s => s.list[0].at));
  // Frames captured together have timestamps a constant apart: sender reports, which are a little off,
  // tell about how much, the frames exactly.
  const [first] = streams;
  for (const stream of streams) {
    const about = stream.clock(ntp) - first.clock(ntp);
    const ours = new Set(stream.list.map(p => p.timestamp));
    const apart = [];
    for (const { timestamp } of first.list) {
      for (const other of ours) {
        const off = signed(other - timestamp - about);
        if (Math.abs(off) < 2_000) apart.push(Math.round(off));
      }
    }
    const count = value => apart.filter(other => other === value).length;
    const [off] = [...new Set(apart)].sort((a, b) => count(b) - count(a));
    if (count(off) < apart.length * 0.9) throw new Error(`${name}: clocks are unclear: ${apart}`);
    stream.start = wrapped(first.list[0].timestamp + about + off);
    console.log(`${name} ${stream.rid ?? ''} ${stream.width}x${stream.height}: ${stream.list.length} packets, ${stream.keys} key frames, clock off by ${off}`);
  }
  const json = {
    made: `Chromium ${version}, ${first.encoder}, ${encodings[0].scalabilityMode}`,
    codec, fmtp, payloadType: pt, extensions,
    streams: streams.map(({ rid, ssrc, start, width, height }) => ({ rid: rid ?? undefined, ssrc, start, width, height })),
  };
  writeFileSync(path.join(here, `${name}.json`), `${JSON.stringify(json, null, 2)}\n`);
  const records = streams.flatMap(s => s.list).sort((a, b) => a.at - b.at).map(({ at, data }) => {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(data.length + 8, 0);
    head.writeUInt16BE(data.length, 2);
    head.writeUInt32BE(at - start, 4);
    return Buffer.concat([head, data]);
  });
  const dump = Buffer.concat([Buffer.from('#!rtpplay1.0 127.0.0.1/5004\n'), Buffer.alloc(16), ...records]);
  writeFileSync(path.join(here, `${name}.rtpdump`), dump);
  console.log(`${name}: ${dump.length} octets`);
}

const names = process.argv.slice(2);
for (const name of names.length ? names : Object.keys(STREAMS)) await record(name, STREAMS[name]);
