import { constants, gunzipSync } from 'node:zlib';

/** Compressions that are told by their first bytes, and whose content is looked at only when it is unpacked. */
const COMPRESSED: readonly (readonly number[])[] = [
  [0x42, 0x5a, 0x68],
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  [0x28, 0xb5, 0x2f, 0xfd],
];
const BLOCK = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_LENGTH = 8;

/** How much of a file `looksLikeArchive` wants to see. */
export const MAGIC_BYTES = 64 << 10;

/** Whether a file that starts so is a tar, plain or compressed: a gzip of something else is not. */
export function looksLikeArchive(start: Uint8Array): boolean {
  if (start[0] === 0x1f && start[1] === 0x8b) return isTar(inflateStart(start));
  return COMPRESSED.some((magic) => magic.every((byte, index) => start[index] === byte)) || isTar(start);
}

/** The first block is a header when its checksum says so, whichever variant of tar it is. */
function isTar(start: Uint8Array): boolean {
  if (start.length < BLOCK) return false;
  const field = Buffer.from(start.subarray(CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_LENGTH)).toString('latin1');
  const written = /^\s*([0-7]+)[\0 ]/.exec(field)?.[1];
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) {
    sum += i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_LENGTH ? 0x20 : start[i]!;
  }
  return written !== undefined && Number.parseInt(written, 8) === sum;
}

function inflateStart(start: Uint8Array): Uint8Array {
  try {
    return gunzipSync(start, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAGIC_BYTES << 10 });
  } catch {
    return Buffer.alloc(0);
  }
}
