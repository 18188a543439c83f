// The page: puts door, call and room together. What each of them is: door.js lets somebody in, call.js talks to the
// server, room.js shows the meeting (tiles.js, people.js, meeting.js, chat.js, notes.js), limits.js what of it is limited
// and why, connection.js how the network is; devices.js has microphone, camera and screen, encryption.js what is encrypted
// end to end, i18n.js all words.

import { Call } from './call.js';
import { Channels } from './channels.js';
import { Connection } from './connection.js';
import { Devices } from './devices.js';
import { startHelp } from './dialogs.js';
import { busy, openDoor, startDoor } from './door.js';
import { $ } from './dom.js';
import { Encryption } from './encryption.js';
import { startLanguage } from './i18n.js';
import { newSecret } from './keys.js';
import { Limits } from './limits.js';
import { planNow } from './meeting.js';
import { meetingOf, seatIn } from './memory.js';
import { complain, status } from './notices.js';
import { startPanel, togglePanel } from './panel.js';
import { Room } from './room.js';
import { keepSecret, secretOf } from './secret.js';
import { Talk } from './talk.js';
import { Wishes } from './wishes.js';

const PHASES = {
  connecting: 'phaseConnecting',
  waiting: 'phaseWaiting',
  joined: 'phaseJoined',
  connected: 'phaseConnected',
  unstable: 'phaseUnstable',
  lost: 'phaseLost',
  blocked: 'phaseBlocked',
  ended: 'phaseEnded',
  shut: 'phaseShut',
};
const TROUBLED = ['lost', 'blocked', 'ended', 'shut'];

const CLOSED = {
  declined: 'closedDeclined',
  removed: 'closedRemoved',
  ended: 'closedEnded',
  elsewhere: 'closedElsewhere',
};

// For tests and slow machines: ?video=360 asks the camera for 360 lines, ?video=0 leaves it off,
// ?audio=0 the microphone, ?codec=VP9&mode=L3T3 has the camera sent in another way.
const query = new URLSearchParams(location.search);
const lines = Number(query.get('video') ?? 720);
const wanted = [query.get('audio') !== '0' && 'audio', lines > 0 && 'video'].filter(Boolean);
const camera = { codec: query.get('codec'), mode: query.get('mode') };

let call = null;
let phase = null;

const wishes = new Wishes(
  () => document.querySelectorAll('.tile:not(.own) video, .screen video'),
  wished => call?.wish(wished),
);

const devices = new Devices(lines || 720, async kind => {
  if (kind === 'screen') await call?.setScreen(devices.screen);
  else if (kind) await call?.setTrack(kind, devices.tracks[kind]);
  else call?.stateChanged();
  room.devicesChanged();
});

const channels = new Channels();
const talk = new Talk(channels);
const encryption = new Encryption(channels, talk, ids => room.tiles.shut(ids));
const act = (name, more) => call?.act(name, more);
const limits = new Limits({
  act,
  choose: choice => call?.choose(choice),
  bar: why => devices.bar(why),
  dark: (pictures, all) => room.tiles.dark(pictures, all),
});
const room = new Room(devices, wishes, talk, limits, act, () => leave());

const connection = new Connection(on => call?.watch(on), () => call?.peer ?? null, limits);

async function enter(code, name, options) {
  complain();
  busy(true);
  status('phaseDevices');
  await devices.openAll(wanted);
  const keys = code => {
    const { secret, plan } = meetingOf(code) ?? {};
    const encrypted = encryption.on || secretOf(code) !== null;
    return { secret, plan: { ...(plan && planNow(plan)), encrypted }, seat: seatIn(code) };
  };
  const cover = peer => encryption.cover(peer);
  // Of a new meeting that is to be encrypted. It is kept once the meeting's code is known.
  const secret = code === null && options.encrypted ? newSecret() : null;
  call = new Call({ code, name, options, camera, channels, cover, choice: limits.choice, keys }, {
    phase: showPhase,
    joined: message => {
      if (secret) keepSecret(message.code, secret);
      const problem = encryption.begin(message);
      if (problem) return leave(problem);
      room.joined(message);
      if (code === null) room.showLink();
    },
    received: tracks => room.tiles.received(tracks),
    message: message => {
      limits.message(message);
      if (message.type === 'participants') encryption.participants(message.list);
      room.message(message);
      connection.message(message);
    },
    refused: () => backToDoor('refused'),
    closed: why => backToDoor(CLOSED[why]),
  });
  for (const kind of ['audio', 'video']) call.setTrack(kind, devices.tracks[kind]);
  call.start();
}

function leave(problem) {
  call?.leave();
  backToDoor(problem);
}

function backToDoor(problem) {
  call = phase = null;
  devices.closeAll();
  devices.show();
  limits.clear();
  room.close();
  encryption.end();
  openDoor();
  status(null);
  complain(...(problem ? [{ key: problem }] : []));
  $('name').focus();
}

function showPhase(name) {
  // While it tries again, "connecting" each time would hide why.
  if (name === 'connecting' && TROUBLED.includes(phase)) return;
  phase = name;
  status(PHASES[name]);
}

startLanguage();
limits.clear();
startPanel();
startHelp({
  m: () => call && devices.toggle('audio'),
  v: () => call && devices.toggle('video'),
  h: () => room.toggleHand(),
  p: () => call && togglePanel(),
  '?': () => $('help-dialog').showModal(),
});
startDoor(enter);

// For the browser tests, and for the curious at the console. `wish` takes a received track, the height
// that is wanted of it (null is any), and whether nothing is; `act` asks for something in the room.
window.conference = {
  get peer() { return call?.peer ?? null; },
  wish: (track, maxHeight, paused = false) => wishes.fix(track, { maxHeight, paused }),
  act,
};
