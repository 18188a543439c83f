// SFrame against the RFC's own vectors, and against what else may arrive. Needs no browser.
import assert from 'node:assert/strict';
import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { load } from './modules.mjs';

const {
  Receiver, Sender, SFrameError, SUITES, decodeHeader, deriveKey, encodeHeader,
} = await load('sframe.js');

const file = await readFile(new URL('../data/vectors/rfc9605.json', import.meta.url), 'utf8');
// Numbers as BigInts: a counter of 64 bits would be rounded.
const vectors = JSON.parse(
  file.replace(/: (\d+)/g, ': "#$1"'),
  (_, value) => (/^#\d+$/.test(value) ? BigInt(value.slice(1)) : value),
);

const MOST = (1n << 64n) - 1n;
const baseKey = bytes('000102030405060708090a0b0c0d0e0f');
const metadata = bytes('4945544620534672616d65205747');

function bytes(hex) {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

function hex(data) {
  return Buffer.from(data).toString('hex');
}

function suiteOf({ cipher_suite: id }) {
  return Object.values(SUITES).find(suite => suite.id === Number(id));
}

const refused = (...reasons) => error => error instanceof SFrameError && reasons.includes(error.reason);

async function receiverOf(suite, kid, key = baseKey) {
  const receiver = new Receiver(suite);
  await receiver.setKey(kid, key);
  return receiver;
}

test('RFC 9605 appendix C.1: headers are written as they should be', () => {
  for (const { kid, ctr, encoded } of vectors.header) assert.equal(hex(encodeHeader(kid, ctr)), encoded);
});

test('RFC 9605 appendix C.1: headers are read as they should be', () => {
  for (const { kid, ctr, encoded } of vectors.header) {
    const frame = bytes(encoded + 'ff'); // what follows is not the header's
    assert.deepEqual(decodeHeader(frame), { kid, counter: ctr, length: frame.length - 1 });
  }
});

test('RFC 9605 appendix C.1: headers are refused wherever they are cut', () => {
  for (const { encoded } of vectors.header) {
    const whole = bytes(encoded);
    for (let length = 0; length < whole.length; length++) {
      assert.throws(() => decodeHeader(whole.subarray(0, length)), refused('truncated'));
    }
  }
});

test('RFC 9605 section 4.3: numbers beyond 64 bits are no key ids and no counters', () => {
  for (const number of [-1n, MOST + 1n, -1, 0.5, 2 ** 53, NaN, '1', undefined]) {
    assert.throws(() => encodeHeader(number, 0n), refused('range'));
    assert.throws(() => encodeHeader(0n, number), refused('range'));
  }
});

for (const vector of vectors.aes_ctr_hmac) {
  test(`RFC 9605 appendix C.2: AES-CTR with HMAC, suite ${vector.cipher_suite}`, async () => {
    const suite = suiteOf(vector);
    const [key, nonce, aad] = [vector.key, vector.nonce, vector.aad].map(bytes);
    assert.equal(vector.enc_key + vector.auth_key, vector.key);
    const cipher = await suite.cipher.load(suite, key);
    assert.equal(hex(await cipher.seal(nonce, aad, bytes(vector.pt))), vector.ct);
    assert.equal(hex(await cipher.open(nonce, aad, bytes(vector.ct))), vector.pt);
  });
}

// The file's suites of AES-256-CTR are not the RFC's: a later draft (draft-barnes-sframe-iana-256) asks
// for their numbers. Pages agree on a suite of the RFC, so there is no use for them yet.
test('only suites that are not of RFC 9605 are left out', () => {
  assert.deepEqual(vectors.aes_256_ctr_hmac.map(vector => vector.cipher_suite), [6n, 7n, 8n]);
  assert.deepEqual(Object.values(SUITES).map(suite => suite.id), [1, 2, 3, 4, 5]);
});

for (const vector of vectors.sframe) {
  const suite = suiteOf(vector);
  const name = `RFC 9605 appendix C.3: suite ${vector.cipher_suite}`;

  test(`${name}, key and salt are derived`, async () => {
    const { key, salt } = await deriveKey(suite, vector.kid, bytes(vector.base_key));
    assert.equal(hex(key), vector.sframe_key);
    assert.equal(hex(salt), vector.sframe_salt);
    // WebCrypto does not show the secret between, so here it is by hand: HKDF's extraction, then the
    // first block of its expansion (RFC 5869, section 2).
    const mac = (secret, data) => createHmac(suite.hash, secret).update(data).digest();
    const secret = mac('', bytes(vector.base_key));
    assert.equal(hex(secret), vector.sframe_secret);
    for (const [label, derived] of [
      [vector.sframe_key_label, vector.sframe_key],
      [vector.sframe_salt_label, vector.sframe_salt],
    ]) {
      const block = hex(mac(secret, bytes(label + '01')));
      assert.equal(block.slice(0, derived.length), derived.slice(0, block.length));
    }
  });

  test(`${name}, nonce and authenticated data are those of the frame`, async () => {
    const cipher = await suite.cipher.load(suite, bytes(vector.sframe_key));
    const header = hex(encodeHeader(vector.kid, vector.ctr));
    assert.equal(header + vector.metadata, vector.aad);
    const sealed = hex(await cipher.seal(bytes(vector.nonce), bytes(vector.aad), bytes(vector.pt)));
    assert.equal(header + sealed, vector.ct);
  });

  test(`${name}, the frame is encrypted and decrypted`, async () => {
    const sender = await Sender.create(suite, vector.kid, bytes(vector.base_key), vector.ctr);
    assert.equal(hex(await sender.encrypt(bytes(vector.pt), bytes(vector.metadata))), vector.ct);
    assert.equal(sender.counter, vector.ctr + 1n);
    const receiver = await receiverOf(suite, vector.kid, bytes(vector.base_key));
    assert.equal(hex(await receiver.decrypt(bytes(vector.ct), bytes(vector.metadata))), vector.pt);
  });

  test(`${name}, a frame with any bit changed is refused`, async () => {
    const receiver = await receiverOf(suite, vector.kid, bytes(vector.base_key));
    const frame = bytes(vector.ct);
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const changed = frame.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      const refusal = refused('tampered', 'unknown-key');
      await assert.rejects(receiver.decrypt(changed, bytes(vector.metadata)), refusal, `bit ${bit}`);
    }
    await assert.rejects(receiver.decrypt(frame), refused('tampered'), 'no metadata');
  });

  test(`${name}, a frame is refused wherever it is cut`, async () => {
    const receiver = await receiverOf(suite, vector.kid, bytes(vector.base_key));
    const frame = bytes(vector.ct);
    const shortest = decodeHeader(frame).length + suite.tagLength;
    for (let length = 0; length < frame.length; length++) {
      const start = frame.subarray(0, length);
      const refusal = refused(length < shortest ? 'truncated' : 'tampered');
      await assert.rejects(receiver.decrypt(start, bytes(vector.metadata)), refusal, `${length} bytes`);
    }
  });
}

for (const [name, suite] of Object.entries(SUITES)) {
  test(`${name}: frames of any size arrive as they were sent`, async () => {
    const sender = await Sender.create(suite, MOST, baseKey);
    const receiver = await receiverOf(suite, MOST);
    for (const size of [0, 1, 15, 16, 17, ...Array.from({ length: 20 }, () => randomInt(200_000))]) {
      const [frame, about] = [size, randomInt(40)].map(length => new Uint8Array(randomBytes(length)));
      const overhead = encodeHeader(MOST, sender.counter).length + suite.tagLength;
      const encrypted = await sender.encrypt(frame, about);
      assert.equal(encrypted.length, frame.length + overhead);
      assert.deepEqual(await receiver.decrypt(encrypted, about), frame);
    }
  });
}

const suite = SUITES.AES_128_GCM_SHA256_128;

test('frames that are encrypted at once have counters of their own', async () => {
  const sender = await Sender.create(suite, 1n, baseKey);
  const frames = await Promise.all(Array.from({ length: 100 }, () => sender.encrypt(metadata)));
  const counters = frames.map(frame => decodeHeader(frame).counter);
  assert.deepEqual(counters, Array.from({ length: 100 }, (_, counter) => BigInt(counter)));
});

test('a sender stops when its counters are used up', async () => {
  const sender = await Sender.create(suite, 1n, baseKey, MOST);
  assert.equal(decodeHeader(await sender.encrypt(metadata)).counter, MOST);
  await assert.rejects(sender.encrypt(metadata), refused('exhausted'));
  await assert.rejects(sender.encrypt(metadata), refused('exhausted'));
});

test('a frame of an unknown key is refused', async () => {
  const frame = await (await Sender.create(suite, 7n, baseKey)).encrypt(metadata);
  const receiver = await receiverOf(suite, 8n);
  await assert.rejects(receiver.decrypt(frame), refused('unknown-key'));
  await receiver.setKey(7n, baseKey);
  assert.deepEqual(await receiver.decrypt(frame), metadata);
  assert.equal(receiver.forgetKey(7n), true);
  assert.equal(receiver.forgetKey(7n), false);
  await assert.rejects(receiver.decrypt(frame), refused('unknown-key'));
});

test('a frame waits for its key to be derived', async () => {
  const frame = await (await Sender.create(suite, 7n, baseKey)).encrypt(metadata);
  const receiver = new Receiver(suite);
  const ready = receiver.setKey(7n, baseKey);
  assert.deepEqual(await receiver.decrypt(frame), metadata);
  await ready;
});

test('of two keys with one id the later counts', async () => {
  const frame = await (await Sender.create(suite, 7n, baseKey)).encrypt(metadata);
  const receiver = new Receiver(suite);
  await Promise.all([receiver.setKey(7n, metadata), receiver.setKey(7n, baseKey)]);
  assert.deepEqual(await receiver.decrypt(frame), metadata);
});

test('a receiver holds as many keys as it may and no more', async () => {
  const receiver = new Receiver(suite, 2);
  await receiver.setKey(1n, baseKey);
  await receiver.setKey(2n, baseKey);
  await assert.rejects(receiver.setKey(3n, baseKey), refused('full'));
  await receiver.setKey(2n, metadata);
  receiver.forgetKey(1n);
  await receiver.setKey(3n, baseKey);
});

test('a key that could not be derived leaves no trace', async () => {
  const receiver = new Receiver(undefined, 1);
  await assert.rejects(receiver.setKey(1n, baseKey), refused('suite'));
  await assert.rejects(receiver.setKey(2n, baseKey), refused('suite'));
  await assert.rejects(Sender.create(undefined, 1n, baseKey), refused('suite'));
});

test('a frame that is no bytes is an error, never an empty frame', async () => {
  const sender = await Sender.create(suite, 1n, baseKey);
  await assert.rejects(sender.encrypt(new ArrayBuffer(4)), TypeError);
  await assert.rejects((await receiverOf(suite, 1n)).decrypt(new ArrayBuffer(40)), TypeError);
  assert.equal(sender.counter, 0n);
});

// RFC 9605 section 4.3 has senders write the fewest bytes and says nothing to receivers. The tag covers
// the header as it came, so nobody else can make one longer.
test('a header longer than needed is read, and is not another one', async () => {
  assert.deepEqual(decodeHeader(bytes('99000100000a')), { kid: 1n, counter: 0n, length: 5 });
  const frame = await (await Sender.create(suite, 1n, baseKey)).encrypt(metadata);
  assert.equal(frame[0], 0x10);
  const longer = new Uint8Array([0x80, 1, ...frame.subarray(1)]);
  await assert.rejects((await receiverOf(suite, 1n)).decrypt(longer), refused('tampered'));
});
