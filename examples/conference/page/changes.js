// What has changed between two lists of participants, as notices. The first list is no change.

import { notify } from './notices.js';

export function tellChanges(before, now, own) {
  if (before === null) return;
  const old = new Map(before.map(person => [person.id, person]));
  for (const { id, name, hand, moderator, screen } of now) {
    const was = old.get(id);
    old.delete(id);
    if (id === own) {
      if (was && moderator && !was.moderator) notify('nowModerator');
    } else if (!was) {
      notify('cameIn', { name });
    } else {
      if (hand !== null && was.hand === null) notify('raised', { name });
      if (screen && !was.screen) notify('shares', { name });
    }
  }
  for (const { id, name } of old.values()) if (id !== own) notify('wentOut', { name });
}

export function tellWaiting(before, now) {
  const known = new Set(before.map(({ id }) => id));
  for (const { id, name } of now) if (!known.has(id)) notify('waits', { name });
}

export function tellOptions(before, now) {
  if (now.lobby !== before.lobby) notify(now.lobby ? 'lobbyIsOn' : 'lobbyIsOff');
  if (now.locked !== before.locked) notify(now.locked ? 'isLocked' : 'isUnlocked');
}
