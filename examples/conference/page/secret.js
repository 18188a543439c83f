// The secret of an encrypted meeting. It is in the meeting's link behind the `#`, which browsers keep to themselves:
// no request has it in it. Nor has anything else that the page sends, or stores.

const IN_LINK = /[#&]key=([\w-]{22})(?![\w-])/;
const secrets = new Map(); // by code

// Codes may be written in several ways.
const plain = code => code.toLowerCase().replaceAll('-', '');

export const secretOf = code => secrets.get(plain(code)) ?? null;
export const keepSecret = (code, secret) => secrets.set(plain(code), secret);

// Takes note of the secret in a meeting's link, if there is one.
export function learnSecret(code, link) {
  const secret = link.match(IN_LINK)?.[1];
  if (secret) keepSecret(code, secret);
}

// What follows a meeting's address in its link.
export const fragmentOf = code => (secretOf(code) ? `#key=${secretOf(code)}` : '');
