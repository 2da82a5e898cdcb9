import { EngineError } from '../../base/errors.ts';
import { entryText, RegistryError, type RegistryErrorEntry } from '../registry-error.ts';
import type { HttpResponse } from './http.ts';

/** Bytes of an error document that are read. */
const MAX_ERROR_BYTES = 64 << 10;
/** Longest wait that a registry may ask for. */
const MAX_RETRY_AFTER_MS = 60_000;

/** Reads a whole answer. Throws `too-large`, `unavailable` when it breaks off. */
export async function readAll({ body, url }: HttpResponse, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.byteLength;
      if (size > limit)
        throw new EngineError('too-large', `${url.origin}${url.pathname} is larger than ${limit} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError('unavailable', `${url.origin}${url.pathname}: ${(error as Error).message}`, { cause: error });
  }
  return Buffer.concat(chunks);
}

/** Reads to the end what nobody wants, so that the connection can be used again. */
export async function discard({ body }: HttpResponse): Promise<void> {
  let size = 0;
  try {
    for await (const chunk of body) if ((size += chunk.byteLength) > MAX_ERROR_BYTES) break;
  } catch {
    // Of an answer that nobody wants.
  }
}

/** The error that an answer stands for. */
export async function answerError(response: HttpResponse): Promise<RegistryError> {
  const { status, headers } = response;
  let text = '';
  try {
    text = (await readAll(response, MAX_ERROR_BYTES)).toString('utf8');
  } catch {
    // The status says enough.
  }
  // an answer to HEAD has no words of its own
  const unauthorized = status === 401 ? [{ code: 'UNAUTHORIZED', message: 'authentication required' }] : [];
  const told = errorEntries(text);
  const entries = told.length > 0 ? told : unauthorized;
  const message =
    entries.length > 0
      ? entries.map(entryText).join('; ')
      : `received unexpected HTTP status: ${status} ${response.statusMessage}`.trimEnd();
  return new RegistryError(message, {
    status,
    registryCode: entries[0]?.code,
    retryAfterMs: retryAfterMs(headers['retry-after']),
  });
}

function errorEntries(text: string): RegistryErrorEntry[] {
  try {
    const { errors } = JSON.parse(text) as { errors?: unknown };
    if (!Array.isArray(errors)) return [];
    return errors.slice(0, 10).flatMap((entry: unknown) => {
      const { code, message } = (entry ?? {}) as Partial<RegistryErrorEntry>;
      if (typeof code !== 'string') return [];
      return [{ code: code.slice(0, 100), message: typeof message === 'string' ? message.slice(0, 1000) : '' }];
    });
  } catch {
    return [];
  }
}

/** Seconds or a date (RFC 9110 §10.2.3). */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
