// What the browser keeps for this page: little, and nothing that the page could not do without.

const MEETINGS = 50; // whose moderator's secret is kept, the latest

function read(store, key) {
  try {
    return JSON.parse(store().getItem(key));
  } catch {
    return null; // storage is forbidden, or another's
  }
}

function write(store, key, value) {
  try {
    store().setItem(key, JSON.stringify(value));
  } catch { /* storage is full or forbidden */ }
}

// The stores are looked up at each use: where they are forbidden, already that fails.
const device = () => localStorage;
const tab = () => sessionStorage;

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

// What brings this tab back to its place in a room.
export const seatIn = code => read(tab, `seat:${code}`);
export const keepSeat = (code, seat) => write(tab, `seat:${code}`, seat);
