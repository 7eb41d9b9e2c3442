// Answers and the keyed hash, for both threads.

import { createHmac } from "node:crypto";

export const KEY = "11111111-2222-3333-4444-555555555555";

export const mac = (data, encoding) => createHmac("sha256", KEY).update(data).digest(encoding);

// The bytes of an answer and its Body-Sign.
export function answer(code, message, more = {}) {
  const text = JSON.stringify({ resultCode: code, resultMsg: message, ...more });
  return { answer: text, body_sign: `sign_type="HMAC-SHA256", signature="${mac(text, "base64")}"` };
}
