// The door: a name, a code or link, or a room of one's own.

import { $ } from './dom.js';
import { Encryption } from './encryption.js';
import { keepMeeting, meetingOf, recall, remember } from './memory.js';
import { fragmentOf, learnSecret } from './secret.js';

const CODE = /[0-9a-z]{4}(?:-?[0-9a-z]{4}){3}(?![0-9a-z])/i;

// The code in a link, or the text itself.
function codeIn(text) {
  return text.match(CODE)?.[0] ?? text.trim();
}

// `/r/{code}`, or `#{code}`. A moderator's link has the secret behind it, which is kept and taken out of sight.
function codeFromAddress() {
  const code = location.pathname.match(/^\/r\/(.+)$/)?.[1];
  const secret = location.hash.match(/[#&]moderator=([^&]+)/)?.[1];
  if (code) learnSecret(code, location.hash);
  if (code && secret) {
    keepMeeting(code, { secret });
    history.replaceState(null, '', location.pathname + location.search + fragmentOf(code));
  }
  return code ?? location.hash.slice(1);
}

// `enter` is given the code, null for a new room, the name and the options of a new room.
export function startDoor(enter) {
  const fill = () => {
    $('code').value = codeFromAddress();
    showRole();
  };
  const go = code => {
    const name = $('name').value;
    remember('name', name);
    enter(code, name, { lobby: $('want-lobby').checked, encrypted: $('want-encryption').checked });
  };
  $('enter').addEventListener('submit', event => {
    event.preventDefault();
    const code = codeIn($('code').value);
    learnSecret(code, $('code').value);
    go(code === '' ? null : code);
  });
  $('create').addEventListener('click', () => go(null));
  $('code').addEventListener('input', showRole);
  addEventListener('hashchange', fill);
  $('name').value = recall('name') ?? '';
  $('encryption-choice').hidden = !Encryption.available;
  fill();
  $('name').focus();
}

function showRole() {
  $('moderates').hidden = !meetingOf(codeIn($('code').value))?.secret;
}

export function openDoor() {
  showRole();
  busy(false);
}

export function busy(is) {
  for (const control of $('enter').elements) control.disabled = is;
}
