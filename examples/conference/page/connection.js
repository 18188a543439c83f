// The tab of the connection: what it carries both ways, now and in the last minute, and of each picture that is
// received how large it is and why it is not larger. The numbers are the server's and the browser's own. Moderators
// see a line of each other participant. The server is asked only while somebody looks.

import { trackNames } from './call.js';
import { Chart } from './chart.js';
import { $, keep, make } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { rateText, shareText, timeText } from './units.js';

// The engine's reasons, `message.rs` names them.
const WHY = {
  all: 'whyAll',
  wish: 'whyWish',
  budget: 'whyBudget',
  threshold: 'whyThreshold',
  waiting: 'whyWaiting',
};
const TOO_LITTLE = ['budget', 'ceiling', 'threshold'];

const CHARTS = {
  toYou: { title: 'chartToYou', names: ['lineEstimate', 'lineReceived'], text: rateText, least: 100_000 },
  fromYou: { title: 'chartFromYou', names: ['lineEstimate', 'lineSent'], text: rateText, least: 100_000 },
  loss: { title: 'chartLoss', names: ['lineToYou', 'lineFromYou'], text: shareText, least: 0.02 },
  roundTrip: { title: 'chartRoundTrip', names: ['lineRoundTrip'], text: timeText, least: 50 },
  jitter: { title: 'chartJitter', names: ['lineToYou', 'lineFromYou'], text: timeText, least: 20 },
};

export class Connection {
  #watch;
  #peer;
  #limits;
  #open = false;
  #charts = new Map();
  #names = new Map(); // id -> name
  #before = null; // the message before the last one, for rates
  #heard = null; // the last one
  #own = null; // the browser's numbers, and those before
  #videos = new Map(); // rows
  #others = new Map();

  // `watch(on)` asks the server for messages; `peer()` is the peer connection; `limits` know what is allowed.
  constructor(watch, peer, limits) {
    [this.#watch, this.#peer, this.#limits] = [watch, peer, limits];
    for (const [name, config] of Object.entries(CHARTS)) {
      this.#charts.set(name, new Chart(config));
      $('charts').append(this.#charts.get(name).element);
    }
    const seen = new MutationObserver(() => this.#look());
    for (const id of ['room', 'panel', 'connection']) seen.observe($(id), { attributeFilter: ['hidden'] });
    onLanguage(() => this.#show());
  }

  async message(message) {
    if (message.type === 'participants') this.#names = new Map(message.list.map(({ id, name }) => [id, name]));
    if (message.type !== 'connection' || !this.#open) return;
    const before = this.#own?.now ?? null;
    this.#own = { now: await numbersOf(this.#peer()), before };
    // Only between two messages of one connection is there a rate.
    const follows = this.#heard?.own.id === message.own.id && message.at > this.#heard.at;
    [this.#before, this.#heard] = [follows ? this.#heard : null, message];
    this.#measure();
    this.#show();
  }

  // Somebody begins to look, or has ceased to.
  #look() {
    const open = $('connection').getClientRects().length > 0;
    if (open === this.#open) return;
    this.#open = open;
    [this.#before, this.#heard, this.#own] = [null, null, null];
    for (const chart of this.#charts.values()) chart.clear();
    this.#show();
    this.#watch(open);
  }

  // Growth in a second of what the server counts.
  #rate(now, before) {
    const seconds = this.#before && (this.#heard.at - this.#before.at) / 1_000;
    return seconds && before !== undefined ? Math.max(0, now - before) / seconds : null;
  }

  #measure() {
    const [link, past] = [this.#heard.own, this.#before?.own];
    const { now, before } = this.#own;
    const push = (name, ...values) => this.#charts.get(name).push(values.map(value => value ?? null));
    const bits = key => past && 8 * this.#rate(link[key], past[key]);
    push('toYou', link.estimate, bits('bytesSent'));
    push('fromYou', now.estimate, bits('bytesReceived'));
    const lostOnTheWay = past && lostShare(link, past);
    push('loss', before && lostShare(now, before), lostOnTheWay);
    push('roundTrip', now.roundTrip ?? link.roundTrip);
    push('jitter', now.jitter, now.remoteJitter);
  }

  #show() {
    const { videos = [], others = [], own } = this.#heard ?? {};
    $('carrier').textContent = own?.carrier ? t(own.carrier === 'tcp' ? 'carrierTcp' : 'carrierUdp') : '';
    const dark = ({ sent, paused, why }) => !sent && !paused && TOO_LITTLE.includes(why);
    $('only-sound').hidden = !(videos.length > 0 && videos.every(dark));
    $('no-videos').hidden = videos.length > 0;
    const rows = videos.map(video => ({ ...video, id: video.track }));
    keep($('video-list'), this.#videos, rows, makeRow, (row, video) => this.#fillVideo(row, video));
    $('other-links').hidden = others.length === 0;
    keep($('other-list'), this.#others, others, makeRow, (row, other) => this.#fillOther(row, other));
  }

  #nameOf(id) {
    return this.#names.get(id) ?? id;
  }

  #fillVideo(row, video) {
    const name = this.#nameOf(video.track.split('/')[0]);
    const before = this.#before?.videos.find(({ track }) => track === video.track);
    const rate = before && 8 * this.#rate(video.bytesSent, before.bytesSent);
    const shown = this.#own?.now.videos.get(video.track);
    const height = shown?.height ?? video.height;
    const frames = Math.round(shown?.frames ?? video.frameRate ?? 0);
    const size = shown?.width ? `${shown.width} × ${height}` : t('lines', { height: height ?? '–' });
    const limited = this.#limits.why(video);
    row.dataset.why = limited === null ? whyOf(video) : video.why;
    fill(row,
      video.screen ? t('screenOf', { name }) : name,
      video.sent ? t('videoSize', { size, frames, rate: rateText(rate) }) : t('videoNone'),
      limited ?? t(whyOf(video), { rate: rateText(video.missing), best: video.best ?? '–' }));
  }

  #fillOther(row, other) {
    const before = this.#before?.others.find(({ id }) => id === other.id);
    const rate = key => rateText(before && 8 * this.#rate(other[key], before[key]));
    fill(row, this.#nameOf(other.id), t('otherLine', {
      down: rate('bytesSent'),
      up: rate('bytesReceived'),
      loss: shareText(other.loss),
      time: timeText(other.roundTrip),
    }));
  }
}

// The key of the words that say why a picture is not larger.
function whyOf({ why, sent, paused, switching, missing }) {
  if (paused) return 'whyPaused';
  if (switching) return 'whySwitching';
  if (!sent && why === 'all') return 'whyOff';
  if (!sent && TOO_LITTLE.includes(why)) return 'whyThreshold';
  return why === 'budget' && missing ? 'whyBudgetBy' : WHY[why];
}

// Of what was expected since `before`.
function lostShare(now, before) {
  const lost = Math.max(0, now.packetsLost - before.packetsLost);
  const received = Math.max(0, now.packetsReceived - before.packetsReceived);
  return lost + received > 0 ? lost / (lost + received) : null;
}

const makeRow = () => make('li', 'link-line');

// A row of a name and what is to be said of it.
function fill(row, name, ...lines) {
  while (row.children.length <= lines.length) row.append(make(row.children.length === 0 ? 'strong' : 'span'));
  for (const [at, text] of [name, ...lines].entries()) row.children[at].textContent = text;
}

// What the browser measures itself.
async function numbersOf(peer) {
  const stats = [...(await peer?.getStats() ?? new Map()).values()];
  const of = type => stats.filter(one => one.type === type);
  const sum = (list, key) => list.reduce((all, one) => all + (one[key] ?? 0), 0);
  const most = list => (list.length > 0 ? 1_000 * Math.max(...list.map(({ jitter }) => jitter ?? 0)) : null);
  const [inbound, remote] = [of('inbound-rtp'), of('remote-inbound-rtp')];
  const pair = of('candidate-pair').find(({ nominated, state }) => nominated && state === 'succeeded');
  const videos = new Map();
  for (const [track, name] of trackNames(peer)) {
    const one = inbound.find(({ trackIdentifier }) => trackIdentifier === track.id);
    if (one) videos.set(name, { width: one.frameWidth, height: one.frameHeight, frames: one.framesPerSecond });
  }
  return {
    packetsReceived: sum(inbound, 'packetsReceived'),
    packetsLost: sum(inbound, 'packetsLost'),
    jitter: most(inbound),
    remoteJitter: most(remote),
    roundTrip: pair?.currentRoundTripTime === undefined ? null : 1_000 * pair.currentRoundTripTime,
    estimate: pair?.availableOutgoingBitrate,
    videos,
  };
}
