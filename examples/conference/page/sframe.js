// SFrame (RFC 9605): end-to-end encryption of whole media frames, above the server's own.
//
// Over WebCrypto alone, so it runs in pages of secure origins, in their workers (where an
// RTCRtpScriptTransform lives) and in Node. A `Sender` encrypts with one key and owns its counter; a
// `Receiver` finds each frame's key by its key id. Bytes are `Uint8Array`s; key ids and counters are
// 64 bits wide, hence BigInts.
//
// Left out: agreement on keys (section 9.2) and what to do about replayed frames (section 9.3), which
// belong to whoever knows the conference.

import { concat } from './bytes.js';

const { subtle } = globalThis.crypto;

const NONE = new Uint8Array();
const SALT_LENGTH = 12; // bytes, of the nonce too: Nn of every suite
const MOST_KEYS = 1_024; // two for each of 512 senders: one in use, one on its way

// What an `SFrameError` says of its `reason`.
const REASONS = {
  truncated: 'The frame ends before its header and tag do.',
  'unknown-key': 'There is no key of this id.',
  tampered: 'The frame, its metadata or its key is not what the sender used.',
  exhausted: 'All counters of this key were used.',
  full: 'There are as many keys as there may be.',
  range: 'Key ids and counters are integers from 0 to 2^64 - 1.',
  suite: 'This is none of SUITES.',
};

export class SFrameError extends Error {
  constructor(reason) {
    super(REASONS[reason]);
    this.name = 'SFrameError';
    this.reason = reason;
  }
}

// A cipher of AES-CTR for secrecy and HMAC for authenticity (section 4.5.1).
const ctrHmac = {
  async load({ cipherKeyLength, hash, tagLength }, key) {
    const [cipherKey, authKey] = await Promise.all([
      subtle.importKey('raw', key.subarray(0, cipherKeyLength), 'AES-CTR', false, ['encrypt', 'decrypt']),
      subtle.importKey('raw', key.subarray(cipherKeyLength), { name: 'HMAC', hash }, false, ['sign']),
    ]);
    const crypt = async (verb, nonce, data) => {
      const counter = concat(nonce, new Uint8Array(4)); // of blocks, in the last four bytes
      return new Uint8Array(await subtle[verb]({ name: 'AES-CTR', counter, length: 32 }, cipherKey, data));
    };
    const tag = async (nonce, aad, ciphertext) => {
      const lengths = [aad.length, ciphertext.length, tagLength].map(length => uint64(BigInt(length)));
      const whole = await subtle.sign('HMAC', authKey, concat(...lengths, nonce, aad, ciphertext));
      return new Uint8Array(whole, 0, tagLength);
    };
    return {
      async seal(nonce, aad, plaintext) {
        const ciphertext = await crypt('encrypt', nonce, plaintext);
        return concat(ciphertext, await tag(nonce, aad, ciphertext));
      },
      async open(nonce, aad, sealed) {
        const ciphertext = sealed.subarray(0, -tagLength);
        // Decrypted in any case, because it should take as long to refuse a frame as to accept it
        // (section 4.4.4).
        const [expected, plaintext] = await Promise.all([
          tag(nonce, aad, ciphertext),
          crypt('decrypt', nonce, ciphertext),
        ]);
        if (!equal(expected, sealed.subarray(-tagLength))) throw new SFrameError('tampered');
        return plaintext;
      },
    };
  },
};

const gcm = {
  async load({ tagLength }, key) {
    const cipherKey = await subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']);
    const parameters = (iv, additionalData) =>
      ({ name: 'AES-GCM', iv, additionalData, tagLength: tagLength * 8 });
    return {
      async seal(nonce, aad, plaintext) {
        return new Uint8Array(await subtle.encrypt(parameters(nonce, aad), cipherKey, plaintext));
      },
      async open(nonce, aad, sealed) {
        try {
          return new Uint8Array(await subtle.decrypt(parameters(nonce, aad), cipherKey, sealed));
        } catch {
          throw new SFrameError('tampered');
        }
      },
    };
  },
};

const CTR_HMAC = { cipher: ctrHmac, hash: 'SHA-256', keyLength: 48, cipherKeyLength: 16 };

// The cipher suites (section 4.5) by name; lengths in bytes. The shorter a tag, the easier a forgery.
export const SUITES = Object.freeze({
  AES_128_CTR_HMAC_SHA256_80: { id: 1, ...CTR_HMAC, tagLength: 10 },
  AES_128_CTR_HMAC_SHA256_64: { id: 2, ...CTR_HMAC, tagLength: 8 },
  AES_128_CTR_HMAC_SHA256_32: { id: 3, ...CTR_HMAC, tagLength: 4 },
  AES_128_GCM_SHA256_128: { id: 4, cipher: gcm, hash: 'SHA-256', keyLength: 16, tagLength: 16 },
  AES_256_GCM_SHA512_128: { id: 5, cipher: gcm, hash: 'SHA-512', keyLength: 32, tagLength: 16 },
});

// Encrypts the frames of one sender, which has its base key and key id for itself (section 4.4.1): two
// would use the same nonces, and everybody could tell what their frames differ in.
export class Sender {
  #kid;
  #key;
  #counter;

  constructor(kid, key, counter) {
    this.#kid = kid;
    this.#key = key;
    this.#counter = counter;
  }

  // `counter`: where a sender that continues another one's work has to begin.
  static async create(suite, kid, baseKey, counter = 0n) {
    const [id, first] = [integer(kid), integer(counter)];
    return new Sender(id, await FrameKey.derive(suite, id, baseKey), first);
  }

  // Of the next frame.
  get counter() {
    return this.#counter;
  }

  // `metadata` does not travel with the frame: it is authenticated, and the receiver must know it.
  async encrypt(plaintext, metadata = NONE) {
    check(plaintext, metadata);
    // Taken before anything is waited for, and not given back if encryption fails: no two frames have
    // the same.
    const counter = this.#counter;
    if (counter === 1n << 64n) throw new SFrameError('exhausted');
    this.#counter += 1n;
    const header = encodeHeader(this.#kid, counter);
    return concat(header, await this.#key.seal(counter, concat(header, metadata), plaintext));
  }
}

// Decrypts the frames of many senders, as long as they use one suite.
export class Receiver {
  #suite;
  #mostKeys;
  #keys = new Map(); // promises, so that frames may arrive while their key is derived

  constructor(suite, mostKeys = MOST_KEYS) {
    this.#suite = suite;
    this.#mostKeys = mostKeys;
  }

  // Replaces the key that had this id.
  async setKey(kid, baseKey) {
    const id = integer(kid);
    if (!this.#keys.has(id) && this.#keys.size >= this.#mostKeys) throw new SFrameError('full');
    const key = FrameKey.derive(this.#suite, id, baseKey);
    this.#keys.set(id, key);
    try {
      await key;
    } catch (error) {
      if (this.#keys.get(id) === key) this.#keys.delete(id);
      throw error;
    }
  }

  // Tells whether there was such a key.
  forgetKey(kid) {
    return this.#keys.delete(integer(kid));
  }

  async decrypt(frame, metadata = NONE) {
    check(frame, metadata);
    const { kid, counter, length } = decodeHeader(frame);
    const key = await this.#keys.get(kid);
    if (!key) throw new SFrameError('unknown-key');
    return key.open(counter, concat(frame.subarray(0, length), metadata), frame.subarray(length));
  }
}

// The header (section 4.3): flag and three bits for the key id, the same for the counter, then the
// bytes of each that did not fit.
export function encodeHeader(kid, counter) {
  const [kidBits, kidBytes] = compact(integer(kid));
  const [counterBits, counterBytes] = compact(integer(counter));
  return concat([kidBits << 4 | counterBits], kidBytes, counterBytes);
}

// Reads the header at the start of `frame`; `length` is the header's. Senders must use as few bytes as
// possible; nothing has receivers refuse more, and what authenticates is the header as it came.
export function decodeHeader(frame) {
  let length = 0;
  const next = () => {
    if (length >= frame.length) throw new SFrameError('truncated');
    return frame[length++];
  };
  const number = bits => {
    if (bits < 8) return BigInt(bits);
    let value = 0n;
    for (let left = bits - 7; left > 0; left--) value = value << 8n | BigInt(next());
    return value;
  };
  const first = next();
  const kid = number(first >> 4);
  const counter = number(first & 15);
  return { kid, counter, length };
}

// The key and salt of one key id, as bytes (section 4.4.2).
export async function deriveKey(suite, kid, baseKey) {
  check(baseKey);
  if (!Object.values(SUITES).includes(suite)) throw new SFrameError('suite');
  const key = await subtle.importKey('raw', baseKey, 'HKDF', false, ['deriveBits']);
  const derive = async (purpose, length) => {
    const info = concat(
      new TextEncoder().encode(`SFrame 1.0 Secret ${purpose} `),
      uint64(integer(kid)),
      [suite.id >> 8, suite.id & 255],
    );
    return new Uint8Array(
      await subtle.deriveBits({ name: 'HKDF', hash: suite.hash, salt: NONE, info }, key, length * 8),
    );
  };
  return { key: await derive('key', suite.keyLength), salt: await derive('salt', SALT_LENGTH) };
}

// A base key made ready for frames (sections 4.4.3 and 4.4.4).
class FrameKey {
  #cipher;
  #salt;
  #tagLength;

  constructor(cipher, salt, tagLength) {
    this.#cipher = cipher;
    this.#salt = salt;
    this.#tagLength = tagLength;
  }

  static async derive(suite, kid, baseKey) {
    const { key, salt } = await deriveKey(suite, kid, baseKey);
    return new FrameKey(await suite.cipher.load(suite, key), salt, suite.tagLength);
  }

  seal(counter, aad, plaintext) {
    return this.#cipher.seal(this.#nonce(counter), aad, plaintext);
  }

  open(counter, aad, sealed) {
    if (sealed.length < this.#tagLength) throw new SFrameError('truncated');
    return this.#cipher.open(this.#nonce(counter), aad, sealed);
  }

  #nonce(counter) {
    const nonce = concat(new Uint8Array(SALT_LENGTH - 8), uint64(counter));
    return nonce.map((byte, at) => byte ^ this.#salt[at]);
  }
}

// A number of the header: its flag and three bits, and the bytes that follow.
function compact(number) {
  if (number < 8n) return [Number(number), NONE];
  const bytes = uint64(number);
  const fewest = bytes.subarray(bytes.findIndex(byte => byte !== 0));
  return [8 | fewest.length - 1, fewest];
}

function integer(number) {
  const fits = typeof number === 'bigint' || Number.isSafeInteger(number);
  if (!fits || number < 0 || number >= 1n << 64n) throw new SFrameError('range');
  return BigInt(number);
}

// An ArrayBuffer in their place would be taken for nothing at all, silently.
function check(...parts) {
  for (const part of parts) if (!(part instanceof Uint8Array)) throw new TypeError('Bytes are Uint8Arrays');
}

function uint64(number) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, number);
  return bytes;
}

// Takes as long wherever the difference is.
function equal(one, other) {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= one[at] ^ other[at];
  return difference === 0;
}
