// Microphone, camera and screen: opened, closed and switched by their buttons.

import { $, setIcon } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { complain, notify } from './notices.js';

const BUTTONS = { audio: 'microphone', video: 'camera' };
const ICONS = { audio: ['mic', 'mic-off'], video: ['camera', 'camera-off'] };

// What is said of an error, by its name and the device.
const TROUBLE = {
  NotAllowedError: { audio: 'micBlocked', video: 'cameraBlocked' },
  NotFoundError: { audio: 'micMissing', video: 'cameraMissing' },
  NotReadableError: { audio: 'micBusy', video: 'cameraBusy' },
  SecurityError: { audio: 'insecure', video: 'insecure' },
};
const OTHERWISE = { audio: 'micFailed', video: 'cameraFailed' };

export class Devices {
  tracks = { audio: null, video: null };
  screen = null; // the stream that is shared
  stream = new MediaStream(); // for one's own tile
  #constraints;
  #changed;
  #barred = null; // the key of the words that say why no picture may be sent
  #closings = 0; // how often all was closed

  // `lines` are wished of the camera. `changed` is called with `audio`, `video` or `screen` when another track is
  // sent, or none, and without anything when one was enabled or disabled.
  constructor(lines, changed) {
    this.#constraints = {
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      video: { height: { ideal: lines }, width: { ideal: lines * 16 / 9 }, frameRate: { ideal: 30 } },
    };
    this.#changed = changed;
    for (const kind of ['audio', 'video']) $(BUTTONS[kind]).addEventListener('click', () => this.toggle(kind));
    $('share').addEventListener('click', () => this.toggleScreen());
    onLanguage(() => this.show());
  }

  isOn(kind) {
    return this.tracks[kind]?.enabled ?? false;
  }

  // Opens what can be opened of these kinds; complains of what cannot.
  async openAll(wanted) {
    const kinds = wanted.filter(kind => kind === 'audio' || !this.#barred);
    const trouble = [];
    try {
      await this.#open(...kinds);
    } catch {
      for (const kind of kinds) await this.#open(kind).catch(error => trouble.push(inWords(error, kind)));
    }
    if (trouble.length > 0) {
      const rest = this.tracks.audio ? 'soundOnly' : this.tracks.video ? 'pictureOnly' : 'listenOnly';
      const once = trouble.filter(({ key }, at) => trouble.findIndex(other => other.key === key) === at);
      complain(...once, { key: rest });
    }
    this.show();
  }

  closeAll() {
    this.#closings += 1;
    for (const kind of ['audio', 'video']) this.#close(kind);
    this.#closeScreen();
  }

  // The microphone stays open while it is off, so that it is on again at once; the camera is closed,
  // so that its light goes out.
  async toggle(kind) {
    const button = $(BUTTONS[kind]);
    if (button.disabled) return;
    if (kind === 'video' && this.#barred) return notify(this.#barred);
    const focused = document.activeElement === button;
    button.disabled = true;
    if (kind === 'audio' && this.tracks.audio) {
      this.tracks.audio.enabled = !this.tracks.audio.enabled;
      this.#changed();
    } else {
      await this.#set(kind, !this.tracks[kind]);
    }
    this.show();
    button.disabled = false;
    if (focused) button.focus();
  }

  // Keeps camera and screen off, with the key of the words that say why; null lets them be switched on again.
  async bar(why) {
    this.#barred = why;
    if (why && this.tracks.video) await this.#set('video', false);
    if (why && this.screen) {
      this.#closeScreen();
      await this.#changed('screen');
    }
    this.show();
  }

  mute() {
    if (this.isOn('audio')) this.toggle('audio');
  }

  async toggleScreen() {
    if (this.screen) {
      this.#closeScreen();
    } else if (this.#barred) {
      return notify(this.#barred);
    } else {
      try {
        this.screen = await this.#given(navigator.mediaDevices.getDisplayMedia({ video: true, audio: true }));
      } catch (error) {
        // Who closes the browser's question has no problem.
        if (error.name !== 'NotAllowedError') complain({ key: 'screenFailed', values: { reason: error.name } });
        return;
      }
      if (!this.screen) return;
      const [picture] = this.screen.getVideoTracks();
      picture.contentHint = 'detail'; // sharp letters rather than smooth motion
      // The browser's own way to stop.
      picture.onended = () => {
        this.#closeScreen();
        this.#changed('screen');
        this.show();
      };
    }
    await this.#changed('screen');
    this.show();
  }

  async #set(kind, on) {
    if (on) {
      try {
        await this.#open(kind);
        complain();
      } catch (error) {
        complain(inWords(error, kind));
      }
    } else {
      this.#close(kind);
    }
    await this.#changed(kind);
  }

  async #open(...kinds) {
    if (kinds.length === 0) return;
    if (!navigator.mediaDevices) throw new DOMException('', 'SecurityError');
    const stream = await this.#given(navigator.mediaDevices.getUserMedia(
      Object.fromEntries(kinds.map(kind => [kind, this.#constraints[kind]]))));
    for (const track of stream?.getTracks() ?? []) {
      this.#close(track.kind);
      this.tracks[track.kind] = track;
      this.stream.addTrack(track);
      track.onended = async () => {
        await this.#set(track.kind, false);
        this.show();
      };
    }
    // It was barred while the browser asked.
    if (this.#barred) this.#close('video');
  }

  // What the browser gives; null, and closed again, if all was closed while it asked the user.
  async #given(asked) {
    const closings = this.#closings;
    const stream = await asked;
    if (closings === this.#closings) return stream;
    for (const track of stream.getTracks()) track.stop();
    return null;
  }

  #close(kind) {
    const track = this.tracks[kind];
    if (!track) return;
    track.onended = null;
    track.stop();
    this.stream.removeTrack(track);
    this.tracks[kind] = null;
  }

  #closeScreen() {
    for (const track of this.screen?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.screen = null;
  }

  show() {
    for (const [kind, id] of Object.entries(BUTTONS)) {
      const on = this.isOn(kind);
      $(id).classList.toggle('off', !on);
      const why = kind === 'video' && this.#barred ? ` (${t(this.#barred)})` : '';
      $(id).setAttribute('aria-label', t(id) + t(on ? 'isOn' : 'isOff') + why);
      $(id).title = why && t(this.#barred);
      setIcon($(id), ICONS[kind][on ? 0 : 1]);
    }
    $('share').classList.toggle('active', this.screen !== null);
    $('share').querySelector('.label').textContent = t(this.screen ? 'stopSharing' : 'shareScreen');
    $('sharing').hidden = this.screen === null;
  }
}

function inWords(error, kind) {
  return { key: TROUBLE[error.name]?.[kind] ?? OTHERWISE[kind], values: { reason: error.name } };
}
