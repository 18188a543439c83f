// What pages and the server say to each other on data channels; the server's desk.rs tells what each message means.
// Who speaks on one puts its functions into `on` by the channel's name: opened(), message(data) and closed().

const CHANNELS = {
  chat: { ordered: true },
  text: { ordered: true },
  cursors: { ordered: false, maxRetransmits: 0 },
  keys: { ordered: true }, // where pages encrypt end to end
};

export const CHAT_MESSAGE = 16 * 1024; // bytes
export const PART = 60 * 1024; // bytes of one part of an update
const AGAIN = 1_000; // ms before a channel is opened again that the server has closed

// Kinds of messages on `text`.
export const [VECTOR, MORE, LAST, REFUSED] = [0, 1, 2, 3];

export class Channels {
  on = {};
  #peer = null;
  #open = new Map(); // by name

  // Opens those that somebody speaks on in this connection, in place of the one before.
  begin(peer) {
    this.end();
    this.#peer = peer;
    // Without data channels there is a meeting all the same.
    if (!peer.createDataChannel) return;
    for (const name of Object.keys(CHANNELS)) if (this.on[name]) this.#make(peer, name);
  }

  end() {
    this.#peer = null;
    for (const name of [...this.#open.keys()]) this.#closed(name);
  }

  isOpen(name) {
    return this.#open.get(name)?.readyState === 'open';
  }

  // Sends bytes as they are.
  send(name, bytes) {
    this.#open.get(name).send(bytes);
  }

  // Says something in the chat.
  say(text) {
    this.#open.get('chat').send(text);
  }

  // Sends a state vector or an update, in parts if it is long.
  sendText(kind, bytes) {
    // Opened again, it begins with what is missing.
    if (!this.isOpen('text')) return;
    let at = 0;
    for (; bytes.length - at > PART; at += PART) this.#send(MORE, bytes.subarray(at, at + PART));
    this.#send(kind, bytes.subarray(at));
  }

  // Shows the others where one writes; nobody waits for it.
  sendCursor(place) {
    if (this.isOpen('cursors')) this.#open.get('cursors').send(place);
  }

  #send(kind, bytes) {
    const message = new Uint8Array(1 + bytes.length);
    message[0] = kind;
    message.set(bytes, 1);
    this.#open.get('text').send(message);
  }

  #make(peer, name) {
    const channel = peer.createDataChannel(name, CHANNELS[name]);
    channel.binaryType = 'arraybuffer';
    channel.onopen = () => {
      if (peer !== this.#peer) return;
      this.#open.set(name, channel);
      this.on[name].opened?.();
    };
    channel.onmessage = ({ data }) => {
      if (this.#open.get(name) !== channel) return;
      this.on[name].message(typeof data === 'string' ? data : new Uint8Array(data));
    };
    // The server closes a channel that is not read fast enough.
    channel.onclose = () => {
      if (peer !== this.#peer) return;
      if (this.#open.get(name) === channel) this.#closed(name);
      setTimeout(() => {
        if (peer === this.#peer && peer.connectionState !== 'closed') this.#make(peer, name);
      }, AGAIN);
    };
  }

  #closed(name) {
    this.#open.delete(name);
    this.on[name].closed?.();
  }
}

// A message that the engine has relayed: behind the length of it the label of its sender, which the engine has put
// there.
export function unstamp(message) {
  const end = 1 + message[0];
  return { from: `p${new TextDecoder().decode(message.subarray(1, end))}`, rest: message.subarray(end) };
}

// The same message, made of its parts.
export function stamp(from, rest) {
  const label = new TextEncoder().encode(from.slice(1));
  return new Uint8Array([label.length, ...label, ...rest]);
}
