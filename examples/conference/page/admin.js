// The page of who looks after the server. The token is kept in this page's memory alone, and sent in a header of each
// request for the server's state.

import { Chart } from './chart.js';
import { $, cell, make } from './dom.js';
import { onLanguage, startLanguage, t } from './i18n.js';
import { limitTexts, limitsIn, putLimits, strictest } from './limitfields.js';
import { complain, status } from './notices.js';
import { countText, rateText, shareText, sizeText } from './units.js';

const PACE = 1_000; // ms

const REASONS = {
  all: 'reasonAll',
  wish: 'reasonWish',
  limit: 'reasonLimit',
  senders: 'reasonSenders',
  budget: 'reasonBudget',
  ceiling: 'reasonCeiling',
  threshold: 'reasonThreshold',
  waiting: 'reasonWaiting',
};

const CLASSES = { speaker: 'classSpeaker', screen: 'classScreen', pinned: 'classPinned', other: 'classOther' };

// Words for what is dropped often; all else bears the metric's name.
const DROPS = {
  unknown_address: 'dropUnknownAddress',
  unknown_username: 'dropUnknownUsername',
  unknown_protocol: 'dropUnknownProtocol',
  duplicate: 'dropDuplicate',
  no_keys: 'dropNoKeys',
  unnegotiated: 'dropUnnegotiated',
  queue_full: 'dropQueueFull',
  expired: 'dropExpired',
  unsubscribed: 'dropUnsubscribed',
  unheard: 'dropUnheard',
  history_full: 'dropHistoryFull',
  publish_rate: 'dropPublishRate',
  retransmission: 'dropRetransmission',
  'srtp.replay': 'dropReplay',
};

const CHARTS = {
  people: { title: 'adminParticipants', names: ['lineParticipants'], text: countText, least: 5 },
  packets: { title: 'adminPackets', names: ['lineIn', 'lineOut'], text: countText, least: 100 },
  bits: { title: 'adminBits', names: ['lineIn', 'lineOut'], text: rateText, least: 1e6 },
  cpu: { title: 'adminCpu', names: ['lineCpu'], text: shareText, least: 0.1 },
  memory: { title: 'adminMemory', names: ['lineMemory'], text: sizeText, least: 16 * 2 ** 20 },
};

const charts = new Map();
let token = null;
let timer = 0;
let before = null; // the state before the last one, for rates
let now = null;

async function look() {
  clearTimeout(timer);
  const mine = token;
  let answer = null;
  try {
    answer = await fetch('/admin/state', { headers: { authorization: `Bearer ${mine}` }, cache: 'no-store' });
    if (mine !== token) return;
    if (answer.status === 401) return signOut({ key: 'tokenWrong' });
    if (!answer.ok) throw new Error(answer.statusText);
    const state = await answer.json();
    if (mine !== token) return;
    status('adminLive');
    open();
    // Asked again too soon, the server says the same again.
    if (state.at !== now?.at) take(state);
  } catch {
    if (mine !== token) return;
    status('adminLost');
  }
  timer = setTimeout(look, PACE);
}

function open() {
  if (!$('server').hidden) return;
  $('door').hidden = true;
  $('server').hidden = $('sign-out').hidden = false;
  $('now-title').focus();
}

function signOut(problem) {
  clearTimeout(timer);
  token = before = now = null;
  for (const chart of charts.values()) chart.clear();
  $('server').hidden = $('sign-out').hidden = true;
  $('door').hidden = false;
  $('token').value = '';
  $('token').focus();
  status(null);
  complain(...(problem ? [problem] : []));
}

function take(state) {
  // A server that was started anew counts from zero.
  [before, now] = [now && state.at > now.at ? now : null, state];
  const push = (name, ...values) => charts.get(name).push(values.map(value => value ?? null));
  push('people', sum(now.engines, 'participants'));
  push('packets', rate(now.engines, 'packetsIn'), rate(now.engines, 'packetsOut'));
  push('bits', bits(now.engines, 'bytesIn'), bits(now.engines, 'bytesOut'));
  push('cpu', before && now.cpuSeconds !== null ? (now.cpuSeconds - before.cpuSeconds) / seconds() : null);
  push('memory', now.memory);
  show();
}

const seconds = () => (now.at - before.at) / 1_000;
const sum = (list, key) => list.reduce((all, one) => all + one[key], 0);

// Growth in a second of what these engines count.
function rate(engines, key) {
  const past = before?.engines.filter(({ number }) => engines.some(engine => engine.number === number));
  return past?.length === engines.length ? Math.max(0, sum(engines, key) - sum(past, key)) / seconds() : null;
}

const bits = (engines, key) => {
  const bytes = rate(engines, key);
  return bytes === null ? null : 8 * bytes;
};

function show() {
  if (!now) return;
  facts([
    ['factRooms', now.rooms.length],
    ['factParticipants', sum(now.engines, 'participants')],
    ['factWaiting', sum(now.rooms, 'waiting')],
    ['factPages', now.pages],
    ['factRefusals', now.refusals],
    ['factEngines', `${now.engines.length} / ${now.engineCount}`],
  ]);
  rows('rooms', ['columnRoom', 'columnEngine', 'columnPeople', 'columnWaiting', 'columnSince', 'columnLimits'],
    now.rooms.map(room => [room.number, room.engine, room.people, room.waiting, age(room.seconds),
      limitTexts(strictest(room.limits.meeting, room.limits.moderators)).join('; ') || '–']));
  offerRooms();
  policy();
  rows('engines', ['columnEngine', 'columnRooms', 'columnPeople', 'columnPacketsIn', 'columnPacketsOut', 'columnBitsIn', 'columnBitsOut'],
    now.engines.map(one => [one.number, one.rooms, one.participants,
      countText(rate([one], 'packetsIn')), countText(rate([one], 'packetsOut')),
      rateText(bits([one], 'bytesIn')), rateText(bits([one], 'bytesOut'))]));
  bars('estimates', 'columnEstimate', spread('estimates', rateText));
  const heights = spread('heights', height => t('lines', { height }));
  bars('heights', 'columnHeight', [[t('videoNone'), sum(now.engines, 'dark')], ...heights]);
  bars('reasons', 'columnReason', total('reasons').map(([name, count]) => [t(REASONS[name]), count]));
  const drops = total('drops').sort(([, a], [, b]) => b - a);
  bars('drops', 'columnReason', drops.map(([name, count]) => [name in DROPS ? t(DROPS[name]) : name, count]));
}

// The rooms whose limits can be set. What is being filled in stays as it is.
function offerRooms() {
  const select = $('limits-for');
  const chosen = select.value;
  const options = [['', t('adminLimitsServer')], ...now.rooms.map(({ number }) => [`${number}`, t('adminLimitsRoom', { room: number })])];
  const known = [...select.options].map(({ value, text }) => [value, text]);
  if (JSON.stringify(options) === JSON.stringify(known)) return;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
  // The one that was chosen is gone, or it is the first time.
  if (known.length === 0 || select.value !== chosen) showLimits();
}

// What an administrator has set for what is chosen.
function showLimits() {
  const room = now.rooms.find(({ number }) => `${number}` === $('limits-for').value);
  putLimits($('limits'), room ? room.limits.meeting : now.limits);
  $('limits-said').textContent = '';
}

async function setLimits() {
  const [mine, room] = [token, $('limits-for').value];
  const headers = { authorization: `Bearer ${mine}` };
  const body = JSON.stringify(limitsIn($('limits')));
  let answer = null;
  try {
    answer = await fetch(room === '' ? '/admin/limits' : `/admin/rooms/${room}/limits`, { method: 'PUT', headers, body });
  } catch {
    if (mine === token) status('adminLost');
    return;
  }
  const { wrong } = answer.status === 400 ? await answer.json() : {};
  if (mine !== token) return;
  if (answer.status === 401) return signOut({ key: 'tokenWrong' });
  const label = $('limits').querySelector(`[data-limit="${wrong}"]`)?.labels[0].textContent ?? '';
  const key = { 204: 'adminLimitsSet', 404: 'adminLimitsGone', 400: 'adminLimitsWrong' }[answer.status] ?? 'adminLost';
  $('limits-said').textContent = t(key, { field: label });
}

// In which order what a connection carries is given away.
function policy() {
  const { topN, leastVideo, classes, presence } = now.policy;
  const lines = [
    topN === 0 ? t('policySoundAll') : t('policySound', { count: topN }),
    ...classes.map(([name, points], at) => t('policyClass', { place: at + 2, name: t(CLASSES[name]), points })),
    t('policySeen', { presence }),
    t('policyLeast', { rate: rateText(leastVideo) }),
  ];
  $('policy').replaceChildren(...lines.map(line => cell('li', line)));
}

function facts(list) {
  $('facts').replaceChildren(...list.map(([key, value]) => {
    const fact = make('div');
    fact.append(cell('dt', t(key)), cell('dd', value));
    return fact;
  }));
}

// Counts by bound, of all engines.
function spread(key, text) {
  const [first, ...others] = now.engines.map(engine => engine[key]);
  return (first ?? []).map(([bound, count], at) => {
    const all = others.reduce((sum, other) => sum + other[at][1], count);
    const label = bound === null ? t('spreadAbove', { bound: text(first[at - 1][0]) }) : t('spreadUpTo', { bound: text(bound) });
    return [label, all];
  });
}

// Counts by name, of all engines.
function total(key) {
  const all = new Map();
  for (const engine of now.engines) {
    for (const [name, count] of Object.entries(engine[key])) all.set(name, (all.get(name) ?? 0) + count);
  }
  return [...all];
}

function age(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? t('minutes', { count: minutes }) : t('hours', { count: Math.floor(minutes / 60) });
}

function head(keys) {
  const head = make('thead');
  head.append(make('tr'));
  head.firstChild.append(...keys.map(key => cell('th', t(key), 'col')));
  return head;
}

function rows(id, columns, lines) {
  fill(id, columns, lines, ([first, ...others]) => [cell('th', first, 'row'), ...others.map(value => cell('td', value))]);
}

function bars(id, column, lines) {
  const most = Math.max(1, ...lines.map(([, count]) => count));
  fill(id, [column, 'columnCount'], lines, ([label, count]) => {
    const number = cell('td', countText(count));
    const bar = number.appendChild(make('span', 'bar'));
    bar.style.width = `${Math.round(100 * count / most)}%`;
    return [cell('th', label, 'row'), number];
  });
}

// A table, or what says that there is nothing to tell.
function fill(id, columns, lines, cells) {
  const body = make('tbody');
  body.append(...lines.map(line => {
    const row = make('tr');
    row.append(...cells(line));
    return row;
  }));
  if (lines.length === 0) {
    const nothing = cell('td', t('nothing'));
    nothing.colSpan = columns.length;
    body.append(make('tr'));
    body.firstChild.append(nothing);
  }
  $(id).replaceChildren(head(columns), body);
}

startLanguage();
for (const [name, config] of Object.entries(CHARTS)) {
  charts.set(name, new Chart(config));
  $('charts').append(charts.get(name).element);
}
onLanguage(show);
$('sign-in').addEventListener('submit', event => {
  event.preventDefault();
  complain();
  token = $('token').value.trim();
  // What cannot stand in a header is no token.
  if (/^[!-~]+$/.test(token)) look();
  else signOut({ key: 'tokenWrong' });
});
$('limits-for').addEventListener('change', showLimits);
$('limits').addEventListener('submit', event => {
  event.preventDefault();
  setLimits();
});
$('sign-out').addEventListener('click', () => signOut());
$('token').focus();
