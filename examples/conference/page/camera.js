// How the camera is sent: in several sizes at once, so that the server can give each receiver the one
// that it shows.

// With VP8, which the server's answer puts first, and H.264: a stream for each size. VP8 is the default
// because every browser encodes and decodes it, three sizes cost a laptop little, and its payloads tell
// the server which frames it may leave out.
const STREAMS = [
  { rid: 'q', maxBitrate: 150_000 }, // for some 180 lines
  { rid: 'h', maxBitrate: 500_000 }, // 360
  { rid: 'f', maxBitrate: 1_500_000 }, // 720
];

// With VP9 and AV1: one stream whose pictures are made of layers. It takes fewer bits for the same
// picture and a multiple of the work, and few browsers can.
const LAYERED = ['VP9', 'AV1'];
const SMALL = 180; // lines of who sends little
const LAYERS = { scalabilityMode: 'L3T3_KEY', maxBitrate: 2_000_000 };

// The `sendEncodings` of the camera. `codec` is VP8, H264, VP9, AV1 or null for whichever the server
// answers with; `mode` how one stream is layered, or null. `track` is null as long as it is off.
// `small` sends the least alone.
export function encodings({ codec, mode }, track, small) {
  if (LAYERED.includes(codec)) {
    return [{ ...LAYERS, ...(mode && { scalabilityMode: mode }), ...sizeOfOne(track, small) }];
  }
  const sizes = sizesOf(track, small);
  return STREAMS.map((stream, at) => ({ ...stream, ...sizes[at], scalabilityMode: mode ?? 'L1T3' }));
}

// Makes the sizes those of another camera, or of another choice.
export async function resize(sender, track, small) {
  const parameters = sender.getParameters();
  const { encodings } = parameters;
  if (!track || encodings.length === 0) return;
  const sizes = encodings.length < STREAMS.length ? [sizeOfOne(track, small)] : sizesOf(track, small);
  sizes.forEach((size, at) => Object.assign(encodings[at], size));
  await sender.setParameters(parameters);
}

// One stream of all sizes.
function sizeOfOne(track, small) {
  const { height = 720 } = track?.getSettings() ?? {};
  const scaleResolutionDownBy = small ? Math.max(1, height / SMALL) : 1;
  return { scaleResolutionDownBy, maxBitrate: small ? STREAMS[0].maxBitrate : LAYERS.maxBitrate };
}

// Each stream has twice the lines of the one before, the last one all there are. Of a small picture
// Chromium sends the first one or two alone, so these have to be the larger ones.
function sizesOf(track, small) {
  const { width = 1_280, height = 720 } = track?.getSettings() ?? {};
  const pixels = width * height;
  const last = pixels >= 960 * 540 ? 2 : pixels >= 480 * 270 ? 1 : 0;
  const most = small ? 0 : last;
  return STREAMS.map((_, at) => ({ scaleResolutionDownBy: 2 ** Math.max(0, last - at), active: at <= most }));
}

// Keeps a camera's line to a codec, if the browser has it.
export function prefer(transceiver, codec) {
  const { codecs } = RTCRtpSender.getCapabilities('video');
  const is = ({ mimeType }, name) => mimeType.toLowerCase() === `video/${name}`.toLowerCase();
  const others = ['VP8', 'VP9', 'H264', 'H265', 'AV1'].filter(name => name !== codec);
  if (!codecs.some(one => is(one, codec))) return;
  // What remains beside it repairs losses.
  transceiver.setCodecPreferences(codecs.filter(one => !others.some(name => is(one, name))));
}
