/**
 * Bytes as a string with one character per byte (`latin1`): how names of files travel through tar archives and directory
 * walks. A name on Linux is any bytes but NUL and `/`, and a JavaScript string decoded as UTF-8 loses those that are not
 * valid. Byte strings compare, split and serve as map keys like any string, in byte order. What people see is `textOf`.
 */
export type ByteString = string;

/** The bytes that `text` has in UTF-8. */
export function byteString(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** Decodes as UTF-8; what is not valid becomes U+FFFD, so the way back is lost. */
export function textOf(bytes: ByteString): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}
