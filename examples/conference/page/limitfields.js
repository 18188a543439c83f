// The fields of limits and their words, as moderators and administrators have them. A limit that is not set is `null`,
// and `audioOnly` false.

import { t } from './i18n.js';
import { rateText } from './units.js';

const NUMBERS = ['maxHeight', 'maxSenders', 'ceiling'];
const named = (form, name) => form.querySelector(`[data-limit=${name}]`);

// What stands in a form.
export function limitsIn(form) {
  const number = name => (named(form, name).value === '' ? null : Number(named(form, name).value));
  const numbers = Object.fromEntries(NUMBERS.map(name => [name, number(name)]));
  return { ...numbers, audioOnly: named(form, 'audioOnly').checked };
}

// Has a form show these.
export function putLimits(form, limits) {
  for (const name of NUMBERS) named(form, name).value = limits[name] ?? '';
  named(form, 'audioOnly').checked = limits.audioOnly;
}

const least = (one, other) => (one === null || other === null ? one ?? other : Math.min(one, other));

// What is within both.
export function strictest(one, other) {
  const numbers = Object.fromEntries(NUMBERS.map(name => [name, least(one[name], other[name])]));
  return { ...numbers, audioOnly: one.audioOnly || other.audioOnly };
}

// In words, those that count: that are as strict as the strictest.
export function limitTexts(limits, counts = limits) {
  const { maxHeight, maxSenders, audioOnly, ceiling } = limits;
  const strict = name => limits[name] !== null && limits[name] === counts[name];
  const texts = [];
  if (audioOnly) texts.push(t('limitAudio'));
  else if (!counts.audioOnly) {
    if (strict('maxHeight')) texts.push(t('limitHeight', { height: maxHeight }));
    if (strict('maxSenders')) texts.push(maxSenders === 0 ? t('limitScreens') : t('limitSenders', { count: maxSenders }));
  }
  if (strict('ceiling')) texts.push(t('limitCeiling', { rate: rateText(1_000 * ceiling) }));
  return texts;
}
