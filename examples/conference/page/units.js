// Measured values in words.

import { numberText } from './i18n.js';

const some = (value, text) => (value === null || value === undefined ? '–' : text(value));

// Bits in a second.
export const rateText = value => some(value, bits => (bits < 1e6
  ? `${numberText(bits / 1e3, { maximumFractionDigits: 0 })} kbit/s`
  : `${numberText(bits / 1e6, { maximumFractionDigits: 1 })} Mbit/s`));

// A share, from 0 to 1.
export const shareText = value => some(value, share => numberText(share, { style: 'percent', maximumFractionDigits: 1 }));

// Milliseconds.
export const timeText = value => some(value, time => `${numberText(time, { maximumFractionDigits: 0 })} ms`);

// A number of things.
export const countText = value => some(value, count => numberText(count, { maximumFractionDigits: 0 }));

// Bytes.
export const sizeText = value => some(value, bytes => `${numberText(bytes / 2 ** 20, { maximumFractionDigits: 0 })} MiB`);
