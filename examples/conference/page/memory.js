// What the browser keeps for this page: little, and nothing that the page could not do without.

const MEETINGS = 50; // whose moderator's secret is kept, the latest

// Each is looked up at each use: where stores are forbidden, already that fails. What one does not take, because it is
// forbidden or full, is kept in the page itself.
const device = { store: () => localStorage, refused: new Map() };
const tab = { store: () => sessionStorage, refused: new Map() };

function read({ store, refused }, key) {
  if (refused.has(key)) return refused.get(key);
  try {
    return JSON.parse(store().getItem(key));
  } catch {
    return null; // forbidden, or another's
  }
}

function write({ store, refused }, key, value) {
  try {
    store().setItem(key, JSON.stringify(value));
    refused.delete(key);
  } catch {
    refused.set(key, value);
  }
}

export const recall = key => read(device, key);
export const remember = (key, value) => write(device, key, value);

// What a moderator knows of a meeting: its secret, and the plan by which a server that has forgotten the room
// makes it again. In the tab as well, for browsers that keep nothing longer.
export function meetingOf(code) {
  return read(tab, `meeting:${code}`) ?? recall('meetings')?.find(meeting => meeting.code === code) ?? null;
}

export function keepMeeting(code, known) {
  const meeting = { ...meetingOf(code), ...known, code };
  write(tab, `meeting:${code}`, meeting);
  const others = (recall('meetings') ?? []).filter(other => other.code !== code);
  remember('meetings', [meeting, ...others].slice(0, MEETINGS));
}

// Keeps the secret of a link. Anybody may have made the link, so one that is kept already stays, until the server has
// shown that it is not right.
export function keepSecret(code, secret) {
  if (!meetingOf(code)?.secret) keepMeeting(code, { secret });
}

// Forgets a secret that is not right.
export function dropSecret(code) {
  if (meetingOf(code)?.secret) keepMeeting(code, { secret: undefined });
}

// What brings this tab back to its place in a room.
export const seatIn = code => read(tab, `seat:${code}`);
export const keepSeat = (code, seat) => write(tab, `seat:${code}`, seat);
