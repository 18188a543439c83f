// Node's libwebrtc (@roamhq/wrtc) as one peer of a call: sends, or receives and decodes.
//
// usage: wrtc_peer.mjs publish|view
// Says {"offer": sdp} on stdout, takes {"answer": sdp} on stdin, then says {"stats": {...}} every second.
import readline from 'node:readline';
import wrtc from '@roamhq/wrtc';

const { RTCPeerConnection, nonstandard } = wrtc;
const { RTCAudioSink, RTCAudioSource, RTCVideoSink, RTCVideoSource } = nonstandard;
const say = message => process.stdout.write(`${JSON.stringify(message)}\n`);
const seen = { video: 0, audio: 0, level: 0 };
const sinks = []; // collected with their tracks otherwise
const peer = new RTCPeerConnection();

if (process.argv[2] === 'publish') {
  publishPicture();
  publishTone();
} else {
  for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
  peer.ontrack = ({ track }) => watch(track);
}
await peer.setLocalDescription(await peer.createOffer());
if (peer.iceGatheringState !== 'complete') {
  await new Promise(resolve => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && resolve();
  });
}
say({ offer: peer.localDescription.sdp });

readline.createInterface({ input: process.stdin })
  .on('line', line => peer.setRemoteDescription({ type: 'answer', sdp: JSON.parse(line).answer }))
  .on('close', () => process.exit(0));
setInterval(async () => {
  const stats = [...(await peer.getStats()).values()];
  const transport = stats.find(({ type }) => type === 'transport');
  say({ stats: { ...seen, state: peer.connectionState, cipher: transport?.srtpCipher, tls: transport?.tlsVersion } });
  seen.level = 0;
}, 1_000);

// A bar that moves over grey.
function publishPicture() {
  const source = new RTCVideoSource();
  const [width, height] = [320, 240];
  let count = 0;
  setInterval(() => {
    const data = new Uint8ClampedArray(width * height * 1.5).fill(128);
    for (let row = 0; row < height; row += 1) {
      data.fill(235, row * width + count % 280, row * width + count % 280 + 40);
    }
    count += 4;
    source.onFrame({ width, height, data });
  }, 66);
  peer.addTransceiver(source.createTrack(), { direction: 'sendonly' });
}

// A sine of 440 Hz, in the pieces of 10 ms that libwebrtc takes.
function publishTone() {
  const source = new RTCAudioSource();
  const start = Date.now();
  let sent = 0;
  setInterval(() => {
    for (; sent < (Date.now() - start) / 10; sent += 1) {
      const samples = Int16Array.from({ length: 480 }, (_, index) =>
        8_000 * Math.sin(2 * Math.PI * 440 * (sent * 480 + index) / 48_000));
      source.onData({ samples, sampleRate: 48_000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 });
    }
  }, 10);
  peer.addTransceiver(source.createTrack(), { direction: 'sendonly' });
}

function watch(track) {
  const sink = track.kind === 'video' ? new RTCVideoSink(track) : new RTCAudioSink(track);
  sinks.push(sink);
  if (track.kind === 'video') {
    sink.onframe = () => { seen.video += 1; };
  } else {
    sink.ondata = ({ samples }) => {
      seen.audio += 1;
      const level = samples.reduce((sum, sample) => sum + Math.abs(sample), 0) / samples.length;
      seen.level = Math.max(seen.level, level);
    };
  }
}
