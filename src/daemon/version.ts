import { EngineError } from '../base/errors.ts';

/** Versions are `1.N` for ever; N is what we compare. */
export type ApiVersion = number;

export const NEWEST: ApiVersion = 51;
export const OLDEST: ApiVersion = 24;
/**
 * What asks with a version from here on is answered as `OLDEST`: skopeo and what is built on the same library (until 2024)
 * say 1.22 without asking which versions there are, and want nothing that changed since.
 */
const OLDEST_ANSWERED: ApiVersion = 22;

/** `/v1.43/info` → 43 and `/info`; no prefix is the newest. Throws `invalid-argument` for a version we do not speak. */
export function splitVersion(path: string): { version: ApiVersion; path: string } {
  const match = /^\/v(\d[\d.]*)(\/.*)$/.exec(path);
  if (!match) return { version: NEWEST, path };
  const [major = 0, minor = 0] = match[1]!.split('.').map(Number);
  const version = major < 1 ? 0 : major > 1 ? Infinity : minor;
  if (version > NEWEST) {
    throw new EngineError(
      'invalid-argument',
      `client version ${match[1]} is too new. Maximum supported API version is 1.${NEWEST}`,
    );
  }
  if (!(version >= OLDEST_ANSWERED)) {
    throw new EngineError(
      'invalid-argument',
      `client version ${match[1]} is too old. Minimum supported API version is 1.${OLDEST}, please upgrade your client to a newer version`,
    );
  }
  return { version: Math.max(version, OLDEST), path: match[2]! };
}
