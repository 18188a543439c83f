// The door: a name, a code or link, or a room of one's own.

import { $ } from './dom.js';
import { Encryption } from './encryption.js';
import { keepSecret, meetingOf, recall, remember } from './memory.js';
import { fragmentOf, learnSecret } from './secret.js';

const CODE = /[0-9a-z]{4}(?:-?[0-9a-z]{4}){3}(?![0-9a-z])/i;
const LINK = /\/r\/([^/?#]+)[^#]*(?:#(?:.*&)?moderator=([^&\s]+))?/;

// What the server writes where people type capitals, spaces, or letters for digits; what is no code stays as it is.
function canonical(text) {
  const digits = text.toLowerCase().replace(/[-\s]/g, '').replace(/o/g, '0').replace(/[il]/g, '1');
  return /^[0-9a-z]{16}$/.test(digits) ? digits.match(/.{4}/g).join('-') : text.trim();
}

// The code in a link or among other words, and the secret that a moderator's link has behind it.
function read(text) {
  const [, linked, secret] = text.match(LINK) ?? [];
  const code = canonical(linked ?? text);
  return { code: CODE.test(code) ? canonical(code.match(CODE)[0]) : code, secret };
}

// `/r/{code}`, or `#{code}`. A moderator's secret is kept and taken out of sight.
function codeFromAddress() {
  const { code, secret } = read(location.pathname + location.hash);
  learnSecret(code, location.hash);
  if (secret) {
    keepSecret(code, secret);
    history.replaceState(null, '', location.pathname + location.search + fragmentOf(code));
  }
  return LINK.test(location.pathname) ? code : canonical(location.hash.slice(1));
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
    const { code, secret } = read($('code').value);
    learnSecret(code, $('code').value);
    if (secret) keepSecret(code, secret);
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

const secretFor = ({ code, secret }) => meetingOf(code)?.secret ?? secret;

function showRole() {
  $('moderates').hidden = !secretFor(read($('code').value));
}

export function openDoor() {
  showRole();
  busy(false);
}

export function busy(is) {
  for (const control of $('enter').elements) control.disabled = is;
}
