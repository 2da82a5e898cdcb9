import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EngineError, errorMessage } from '../../base/errors.ts';

export interface FetchedFile {
  /** Directory that holds nothing but the file. */
  readonly directory: string;
  readonly name: string;
}

/**
 * Fetches what `ADD https://…` names into `directory`, which it makes: mode 0600, time of `Last-Modified`.
 * Throws `invalid-argument` when the server refuses, or when it is not what `checksum` says.
 */
export async function fetchFile(
  url: string,
  directory: string,
  {
    checksum,
    name,
    signal,
  }: { checksum: string | undefined; name: string | undefined; signal: AbortSignal | undefined },
): Promise<FetchedFile> {
  const [, algorithm = 'sha256', expected] = /^(sha(?:256|384|512)):([0-9a-f]+)$/.exec(checksum ?? '') ?? [];
  if (checksum !== undefined && expected === undefined)
    throw new EngineError('invalid-argument', `invalid checksum ${JSON.stringify(checksum)}: it is sha256:… in hex`);
  const response = await get(url, signal);
  const file = name ?? fileName(url, response.headers);
  if (file === undefined)
    throw new EngineError(
      'invalid-argument',
      `cannot determine filename for source ${url}: name a file as destination`,
    );
  await mkdir(directory, { recursive: true });
  const path = join(directory, file);
  const hash = createHash(algorithm);
  const counted = new Transform({
    transform: (chunk: Buffer, _, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const body = response.body ? Readable.fromWeb(response.body) : Readable.from([]);
  await pipeline(body, counted, createWriteStream(path, { mode: 0o600 }), { signal });
  const found = hash.digest('hex');
  if (expected !== undefined && found !== expected) {
    throw new EngineError(
      'invalid-argument',
      `digest mismatch ${algorithm}:${found}: ${algorithm}:${expected} (of ${url})`,
    );
  }
  await chmod(path, 0o600);
  const modified = Date.parse(response.headers.get('last-modified') ?? '');
  const time = Number.isNaN(modified) ? 0 : modified / 1000;
  await utimes(path, time, time);
  return { directory, name: file };
}

async function get(url: string, signal: AbortSignal | undefined): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { redirect: 'follow', ...(signal && { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    const { cause } = error as Error;
    throw new EngineError('invalid-argument', `cannot fetch ${url}: ${errorMessage(cause ?? error)}`, { cause: error });
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw new EngineError('invalid-argument', `invalid response status ${response.status} of ${url}`);
  }
  return response;
}

function fileName(url: string, headers: Headers): string | undefined {
  const disposition = /filename="?([^";]+)"?/i.exec(headers.get('content-disposition') ?? '')?.[1];
  for (const candidate of [disposition, decodeURIComponent(new URL(url).pathname)]) {
    const name = candidate === undefined || candidate.endsWith('/') ? '' : basename(candidate);
    if (name !== '' && name !== '.' && name !== '..' && !name.includes('\0')) return name;
  }
  return undefined;
}
