// How the camera is sent: in several sizes at once, so that the server can give each receiver the one
// that it shows.

// With VP8, which the server's answer puts first, and H.264: a stream for each size. VP8 is the default
// because every browser encodes and decodes it, three sizes cost a laptop little, and its payloads tell
// the server which frames it may leave out. The bit rates are at most, for 180, 360 and 720 lines.
const SIMULCAST = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_500_000 },
];

// With VP9 and AV1: one stream whose pictures are made of layers. It takes fewer bits for the same
// picture and a multiple of the work, and few browsers can.
const LAYERED = ['VP9', 'AV1'];
const LAYERS = { scalabilityMode: 'L3T3_KEY', maxBitrate: 2_000_000 };

// What tells the server the layers and sizes that payloads of H.264 and AV1 do not tell, or not all.
// Chromium has it and sends it when asked.
const TELLING = [
  'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension',
  'http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00',
];

// The `sendEncodings` of the camera. `codec` is VP8, H264, VP9, AV1 or null for whichever the server
// answers with; `mode` how one stream is layered, or null.
export function encodings({ codec, mode }) {
  if (LAYERED.includes(codec)) return [{ ...LAYERS, ...(mode && { scalabilityMode: mode }) }];
  return SIMULCAST.map(encoding => ({ ...encoding, scalabilityMode: mode ?? 'L1T3' }));
}

// Keeps a camera's line to a codec.
export function prefer(transceiver, codec) {
  const { codecs } = RTCRtpSender.getCapabilities('video');
  const name = `video/${codec}`.toLowerCase();
  const others = /^video\/(vp8|vp9|h26[45]|av1)$/;
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => {
    const type = mimeType.toLowerCase();
    return type === name || !others.test(type);
  }));
  if (codec === 'VP8' || !transceiver.setHeaderExtensionsToNegotiate) return;
  const extensions = transceiver.getHeaderExtensionsToNegotiate();
  for (const extension of extensions) {
    if (TELLING.includes(extension.uri)) extension.direction = 'sendrecv';
  }
  transceiver.setHeaderExtensionsToNegotiate(extensions);
}
