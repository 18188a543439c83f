// The page: puts door, call and room together. What each of them is: door.js lets somebody in, call.js talks to the
// server, room.js shows the meeting (tiles.js, people.js, meeting.js, chat.js, notes.js), connection.js how the network is,
// devices.js has microphone, camera and screen, i18n.js all words.

import { Call } from './call.js';
import { Channels } from './channels.js';
import { Connection } from './connection.js';
import { Devices } from './devices.js';
import { startHelp } from './dialogs.js';
import { busy, openDoor, startDoor } from './door.js';
import { $ } from './dom.js';
import { startLanguage } from './i18n.js';
import { planNow } from './meeting.js';
import { meetingOf, seatIn } from './memory.js';
import { complain, status } from './notices.js';
import { startPanel, togglePanel } from './panel.js';
import { Room } from './room.js';
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
const room = new Room(devices, wishes, channels, (act, more) => call?.act(act, more), leave);

const connection = new Connection(on => call?.watch(on), () => call?.peer ?? null);

async function enter(code, name, options) {
  complain();
  busy(true);
  status('phaseDevices');
  await devices.openAll(wanted);
  const keys = code => {
    const { secret, plan } = meetingOf(code) ?? {};
    return { secret, plan: plan && planNow(plan), seat: seatIn(code) };
  };
  call = new Call({ code, name, options, camera, channels, keys }, {
    phase: showPhase,
    joined: message => {
      room.joined(message);
      if (code === null) room.showLink();
    },
    received: tracks => room.tiles.received(tracks),
    message: message => {
      room.message(message);
      connection.message(message);
    },
    refused: () => backToDoor('refused'),
    closed: why => backToDoor(CLOSED[why]),
  });
  for (const kind of ['audio', 'video']) call.setTrack(kind, devices.tracks[kind]);
  call.start();
}

function leave() {
  call?.leave();
  backToDoor();
}

function backToDoor(problem) {
  call = phase = null;
  devices.closeAll();
  devices.show();
  room.close();
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
// that is wanted of it (null is any), and whether nothing is.
window.conference = {
  get peer() { return call?.peer ?? null; },
  wish: (track, maxHeight, paused = false) => wishes.fix(track, { maxHeight, paused }),
};
