// The page: the door, the room, the devices. The call itself is in call.js.

import { Call } from './call.js';
import { Wishes } from './wishes.js';

const $ = id => document.getElementById(id);

const PHASES = {
  connecting: 'Connecting to the server…',
  joined: 'Connecting audio and video…',
  connected: 'Connected.',
  unstable: 'The connection is unstable…',
  lost: 'The server cannot be reached. Trying again…',
  blocked: 'Audio and video do not get through to the server. A firewall may block UDP. Trying again…',
  ended: 'The server ended the call. Trying again…',
};

// For tests and slow machines: ?video=360 asks the camera for 360 lines, ?video=0 leaves it off,
// ?audio=0 the microphone, ?codec=VP9&mode=L3T3 has the camera sent in another way.
const query = new URLSearchParams(location.search);
const lines = Number(query.get('video') ?? 720);
const wanted = { audio: query.get('audio') !== '0', video: lines > 0 };
const constraints = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { height: { ideal: lines || 720 }, width: { ideal: (lines || 720) * 16 / 9 }, frameRate: { ideal: 30 } },
};

const camera = { codec: query.get('codec'), mode: query.get('mode') };

let call = null;
let ownId = null;
let phase = null;
const tracks = { audio: null, video: null };
const tiles = new Map(); // participant's id -> tile
const streams = new Map(); // stream's id, which is the participant's -> stream
const wishes = new Wishes(
  () => document.querySelectorAll('.tile:not(.own) video'),
  wished => call?.wish(wished),
);

// --- the door ------------------------------------------------------------------------------------

// The code in a link, or the text itself.
function codeIn(text) {
  return text.match(/[0-9a-z]{4}(?:-?[0-9a-z]{4}){3}(?![0-9a-z])/i)?.[0] ?? text.trim();
}

function codeFromAddress() {
  const path = location.pathname.match(/^\/r\/(.+)$/)?.[1];
  return path ?? location.hash.slice(1);
}

async function enter(room) {
  say(null);
  busy(true);
  status('Asking for camera and microphone…');
  const missing = await openDevices();
  if (missing) say(missing);
  call = new Call(room, $('name').value, camera, {
    phase: showPhase,
    joined: showRoom,
    participants: showParticipants,
    stream: stream => { streams.set(stream.id, stream); showStreams(); },
    reset: () => { streams.clear(); showStreams(); },
    refused: () => {
      backToDoor();
      say('There is no such room, or it has no free place. Check the code, or create a room.');
    },
  });
  for (const kind of ['audio', 'video']) call.setTrack(kind, tracks[kind]);
  call.start();
}

function leave() {
  call?.leave();
  backToDoor();
}

function backToDoor() {
  call = ownId = phase = null;
  for (const kind of ['audio', 'video']) closeDevice(kind);
  streams.clear();
  for (const tile of tiles.values()) tile.remove();
  tiles.clear();
  $('room').hidden = true;
  $('door').hidden = false;
  busy(false);
  status('');
  say(null);
}

// --- the room ------------------------------------------------------------------------------------

function showPhase(name) {
  // While it tries again, "connecting" each time would hide why.
  if (name === 'connecting' && ['lost', 'blocked', 'ended'].includes(phase)) return;
  phase = name;
  status(PHASES[name]);
}

function showRoom(code, id) {
  ownId = id;
  for (const tile of tiles.values()) tile.remove();
  tiles.clear();
  const link = new URL(`/r/${code}`, location.href);
  history.replaceState(null, '', link.pathname + location.search);
  $('code').value = code;
  $('room-code').textContent = code;
  $('link').href = $('link').textContent = link.href;
  $('door').hidden = true;
  $('room').hidden = false;
  showDevices();
}

function showParticipants(list) {
  const present = new Set(list.map(({ id }) => id));
  for (const [id, tile] of tiles) {
    if (present.has(id)) continue;
    tile.remove();
    tiles.delete(id);
    streams.delete(id);
  }
  list.sort((a, b) => (b.id === ownId) - (a.id === ownId));
  for (const { id, name, audio, video } of list) {
    const tile = tiles.get(id) ?? makeTile(id);
    tile.classList.toggle('dark', !video);
    tile.querySelector('.name').textContent = id === ownId ? `${name} (you)` : name;
    tile.querySelector('.initial').textContent = [...name][0].toUpperCase();
    tile.querySelector('.muted').hidden = audio;
  }
  showStreams();
}

function makeTile(id) {
  const tile = $('tile').content.firstElementChild.cloneNode(true);
  tile.dataset.participant = id;
  if (id === ownId) {
    tile.classList.add('own');
    tile.querySelector('video').muted = true;
  } else {
    wishes.watch(tile.querySelector('video'));
  }
  tiles.set(id, tile);
  $('tiles').append(tile);
  return tile;
}

function showStreams() {
  for (const [id, tile] of tiles) {
    const video = tile.querySelector('video');
    const stream = id === ownId ? ownStream : streams.get(id) ?? null;
    if (video.srcObject === stream) continue;
    video.srcObject = stream;
    if (stream) play(video);
  }
  wishes.changed();
}

function play(video) {
  video.play().catch(error => {
    // Browsers keep pages silent until somebody clicks in them.
    if (error.name === 'NotAllowedError') $('sound').hidden = false;
  });
}

function soundOn() {
  $('sound').hidden = true;
  for (const tile of tiles.values()) play(tile.querySelector('video'));
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText($('link').href);
    status('The link is copied.');
  } catch {
    getSelection().selectAllChildren($('link'));
    status('The link is selected: copy it with your keyboard.');
  }
}

// --- the devices ---------------------------------------------------------------------------------

const ownStream = new MediaStream();
const DEVICES = { audio: 'microphone', video: 'camera' };

// Opens what can be opened; returns words about what cannot, or null.
async function openDevices() {
  const kinds = ['audio', 'video'].filter(kind => wanted[kind]);
  const trouble = [];
  try {
    await openDevice(...kinds);
  } catch {
    for (const kind of kinds) await openDevice(kind).catch(error => trouble.push(inWords(error, kind)));
  }
  if (trouble.length === 0) return null;
  const rest = tracks.audio ? 'You take part with sound only.'
    : tracks.video ? 'You take part without sound.' : 'You take part as a listener.';
  return [...new Set(trouble), rest].join(' ');
}

async function openDevice(...kinds) {
  if (kinds.length === 0) return;
  if (!navigator.mediaDevices) throw new DOMException('', 'SecurityError');
  const stream = await navigator.mediaDevices.getUserMedia(
    Object.fromEntries(kinds.map(kind => [kind, constraints[kind]])));
  for (const track of stream.getTracks()) {
    closeDevice(track.kind);
    tracks[track.kind] = track;
    ownStream.addTrack(track);
    track.onended = () => setDevice(track.kind, null);
  }
}

function closeDevice(kind) {
  if (!tracks[kind]) return;
  tracks[kind].onended = null;
  tracks[kind].stop();
  ownStream.removeTrack(tracks[kind]);
  tracks[kind] = null;
}

function inWords(error, kind) {
  const device = DEVICES[kind];
  switch (error.name) {
    case 'NotAllowedError': return `Your browser does not allow the ${device}.`;
    case 'NotFoundError': return `No ${device} was found.`;
    case 'NotReadableError': return `The ${device} is in use by another program.`;
    case 'SecurityError':
      return 'Browsers give camera and microphone only to pages from localhost or over HTTPS.';
    default: return `The ${device} could not be opened (${error.name}).`;
  }
}

async function setDevice(kind, on) {
  if (on) {
    try {
      await openDevice(kind);
      say(null);
    } catch (error) {
      say(inWords(error, kind));
    }
  } else {
    closeDevice(kind);
  }
  await call?.setTrack(kind, tracks[kind]);
  showDevices();
}

// The microphone stays open while it is off, so that it is on again at once; the camera is closed,
// so that its light goes out.
async function toggle(kind) {
  const button = $(DEVICES[kind]);
  button.disabled = true;
  if (kind === 'audio' && tracks.audio) {
    tracks.audio.enabled = !tracks.audio.enabled;
    call?.stateChanged();
    showDevices();
  } else {
    await setDevice(kind, !tracks[kind]);
  }
  button.disabled = false;
  button.focus();
}

function showDevices() {
  for (const [kind, name] of Object.entries(DEVICES)) {
    const on = tracks[kind]?.enabled ?? false;
    $(name).textContent = `${name[0].toUpperCase()}${name.slice(1)}: ${on ? 'on' : 'off'}`;
  }
}

// --- words ---------------------------------------------------------------------------------------

function status(text) {
  $('status').textContent = text;
}

function say(problem) {
  $('problem').hidden = !problem;
  $('problem').textContent = problem ?? '';
}

function busy(is) {
  for (const control of $('enter').elements) control.disabled = is;
}

// --- start ---------------------------------------------------------------------------------------

$('enter').addEventListener('submit', event => {
  event.preventDefault();
  const code = codeIn($('code').value);
  enter(code === '' ? null : code);
});
$('create').addEventListener('click', () => enter(null));
$('leave').addEventListener('click', leave);
$('copy').addEventListener('click', copyLink);
$('sound').addEventListener('click', soundOn);
$('microphone').addEventListener('click', () => toggle('audio'));
$('camera').addEventListener('click', () => toggle('video'));
addEventListener('hashchange', () => { $('code').value = codeFromAddress(); });
$('code').value = codeFromAddress();
$('name').focus();

// For the browser tests, and for the curious at the console. `wish` takes a received track, the height
// that is wanted of it (null is any), and whether nothing is.
window.conference = {
  get peer() { return call?.peer ?? null; },
  wish: (track, maxHeight, paused = false) => wishes.fix(track, { maxHeight, paused }),
};
