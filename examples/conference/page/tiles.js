// The pictures: a tile for each participant, and a larger one for each screen.

import { $, copyOf } from './dom.js';
import { onLanguage, t } from './i18n.js';

const SHAPE = 16 / 9;
const SPACE = 24; // px around all tiles, half of it between them
const LEAST = 160; // px of a tile's width

export class Tiles {
  #own = null; // one's own id
  #list = [];
  #tiles = new Map(); // participant's id -> tile
  #screens = new Map(); // the same, of those who share
  #streams = new Map(); // participant's id -> the streams of its camera and its screen
  #ownStream;
  #wishes;
  #withheld = new Map(); // of which pictures nothing comes, with the key of the words why
  #allDark = null; // the same of all pictures of others

  constructor(ownStream, wishes) {
    this.#ownStream = ownStream;
    this.#wishes = wishes;
    $('sound').addEventListener('click', () => this.#soundOn());
    onLanguage(() => this.#name());
    new ResizeObserver(() => this.#arrange()).observe($('stage'));
  }

  // Begins anew, as the participant of this id.
  begin(own) {
    this.clear();
    this.#own = own;
  }

  clear() {
    for (const element of [...this.#tiles.values(), ...this.#screens.values()]) element.remove();
    this.#tiles.clear();
    this.#screens.clear();
    this.#streams.clear();
    this.#list = [];
  }

  participants(list) {
    this.#list = [...list].sort((a, b) => (b.id === this.#own) - (a.id === this.#own));
    const present = new Set(list.map(({ id }) => id));
    for (const [id, tile] of this.#tiles) {
      if (present.has(id)) continue;
      tile.remove();
      this.#tiles.delete(id);
      this.#streams.delete(id);
    }
    for (const { id } of this.#list) if (!this.#tiles.has(id)) this.#tiles.set(id, this.#makeTile(id));
    this.#name();
    this.#show();
  }

  // Of these ids nothing can be decrypted of what they send.
  shut(ids) {
    for (const [id, tile] of this.#tiles) tile.querySelector('.shut').hidden = !ids.includes(id);
  }

  // What is received: `{ camera, screen }`, each a list of tracks, by participant.
  received(tracks) {
    for (const id of this.#streams.keys()) if (!tracks.has(id)) this.#streams.delete(id);
    for (const [id, { camera, screen }] of tracks) {
      if (!this.#streams.has(id)) this.#streams.set(id, { camera: new MediaStream(), screen: new MediaStream() });
      hold(this.#streams.get(id).camera, camera);
      hold(this.#streams.get(id).screen, screen);
    }
    this.#show();
  }

  // Of which pictures nothing comes: `id`, or `id/screen`, with the key of the words why; `all` of all others', or null.
  dark(pictures, all) {
    [this.#withheld, this.#allDark] = [pictures, all];
    this.#name();
  }

  #why(id) {
    return this.#withheld.get(id) ?? (id === this.#own ? null : this.#allDark);
  }

  #makeTile(id) {
    const tile = copyOf('tile');
    tile.dataset.participant = id;
    if (id === this.#own) {
      tile.classList.add('own');
      tile.querySelector('video').muted = true;
    } else {
      this.#wishes.watch(tile.querySelector('video'));
    }
    $('tiles').append(tile);
    return tile;
  }

  #makeScreen() {
    const screen = copyOf('screen');
    this.#wishes.watch(screen.querySelector('video'));
    $('screens').append(screen);
    return screen;
  }

  // Names and signs.
  #name() {
    for (const { id, name, audio, video, hand } of this.#list) {
      const tile = this.#tiles.get(id);
      const why = video ? this.#why(id) : null;
      tile.classList.toggle('dark', !video || why !== null);
      say(tile, why);
      tile.querySelector('.name').textContent = id === this.#own ? t('you', { name }) : name;
      tile.querySelector('.initial').textContent = [...name][0].toUpperCase();
      tile.querySelector('.muted').hidden = audio;
      tile.querySelector('.hand').hidden = hand === null;
      tile.querySelector('.hand .visually-hidden').textContent = t('handUp', { place: hand });
      const screen = this.#screens.get(id);
      if (!screen) continue;
      screen.querySelector('.name').textContent = t('screenOf', { name });
      const whyNoScreen = this.#withheld.get(`${id}/screen`) ?? this.#allDark;
      screen.classList.toggle('dark', whyNoScreen !== null);
      say(screen, whyNoScreen);
    }
  }

  #show() {
    for (const { id, screen: shares } of this.#list) {
      const streams = this.#streams.get(id);
      put(this.#tiles.get(id), id === this.#own ? this.#ownStream : streams?.camera ?? null);
      const stream = shares && streams?.screen.getVideoTracks().length > 0 ? streams.screen : null;
      if (stream && !this.#screens.has(id)) this.#screens.set(id, this.#makeScreen());
      if (stream) put(this.#screens.get(id), stream);
    }
    for (const [id, screen] of this.#screens) {
      if (this.#list.some(one => one.id === id && one.screen) && this.#streams.get(id)?.screen.active) continue;
      screen.remove();
      this.#screens.delete(id);
    }
    $('screens').hidden = this.#screens.size === 0;
    $('stage').classList.toggle('with-screen', this.#screens.size > 0);
    this.#arrange();
    this.#name();
    this.#wishes.changed();
  }

  // As many columns as make the tiles largest.
  #arrange() {
    const { clientWidth, clientHeight } = $('stage');
    const [width, height] = [clientWidth - SPACE, clientHeight - SPACE];
    let best = { columns: 1, tile: 0 };
    for (let columns = 1; columns <= this.#tiles.size; columns += 1) {
      const rows = Math.ceil(this.#tiles.size / columns);
      const tile = Math.min(width / columns, height / rows * SHAPE) - SPACE / 2;
      if (tile > best.tile) best = { columns, tile };
    }
    // Smaller ones could not be recognised: then the stage scrolls.
    const tile = Math.max(best.tile, Math.min(LEAST, width));
    const columns = tile > best.tile ? Math.max(1, Math.floor(width / tile)) : best.columns;
    $('tiles').style.setProperty('--columns', columns);
    $('tiles').style.setProperty('--tile', `${Math.floor(tile)}px`);
  }

  #soundOn() {
    $('sound').hidden = true;
    for (const element of [...this.#tiles.values(), ...this.#screens.values()]) play(element.querySelector('video'));
  }
}

// Makes the tracks of a stream these.
function hold(stream, tracks) {
  for (const track of stream.getTracks()) if (!tracks.includes(track)) stream.removeTrack(track);
  for (const track of tracks) stream.addTrack(track);
}

function put(tile, stream) {
  const video = tile.querySelector('video');
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  if (stream) play(video);
}

// Says why there is no picture; what came last is not shown as if it were now.
function say(tile, why) {
  tile.querySelector('.why').hidden = why === null;
  tile.querySelector('.why').textContent = why === null ? '' : t(why);
}

function play(video) {
  video.play().catch(error => {
    // Browsers keep pages silent until somebody clicks in them.
    if (error.name === 'NotAllowedError') $('sound').hidden = false;
  });
}
