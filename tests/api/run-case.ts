import { request } from 'node:http';
import type { ApiCase } from './cases.ts';

export interface ApiResult {
  readonly status: number;
  readonly type: string;
  /** Words of an error or a text. */
  readonly text?: string;
  /** Fields and their types of a JSON answer. */
  readonly shape?: unknown;
}

/** Sends one case; `prefix` is put for `own0`, and `own0` for it in the answer. */
export async function runCase(one: ApiCase, socketPath: string, prefix: string): Promise<ApiResult> {
  const own = (text: string): string => text.replaceAll('own0', prefix);
  const body =
    one.body === undefined || Buffer.isBuffer(one.body)
      ? one.body
      : own(typeof one.body === 'string' ? one.body : JSON.stringify(one.body));
  const headers = {
    ...(body === undefined ? {} : { 'Content-Type': Buffer.isBuffer(body) ? 'application/x-tar' : 'application/json' }),
    ...one.headers,
  };
  const { status, type, bytes } = await send(one.method, own(one.path), socketPath, body, headers);
  const text = bytes.toString('latin1').replaceAll(prefix, 'own0');
  return { status, type, ...content(text, type, status) };
}

function send(
  method: string,
  path: string,
  socketPath: string,
  body: string | Buffer | undefined,
  headers: Record<string, string>,
): Promise<{ status: number; type: string; bytes: Buffer }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, headers, agent: false, timeout: 20_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          bytes: Buffer.concat(chunks),
        }),
      );
    });
    sent.on('error', reject);
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
    sent.end(body);
  });
}

function content(text: string, type: string, status: number): { text?: string; shape?: unknown } {
  if (text === '') return {};
  if (type !== 'application/json') return type.includes('tar') || type.includes('octet') ? {} : { text };
  // Lines of progress or of samples: the last is the outcome.
  const line = text.trim().split('\n').at(-1) ?? '';
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { text: mask(line) };
  }
  const message =
    (value as { message?: unknown; error?: unknown } | null)?.message ?? (value as { error?: unknown } | null)?.error;
  return status >= 400 || typeof (value as { error?: unknown } | null)?.error === 'string'
    ? { text: mask(String(message)) }
    : { shape: shapeOf(value) };
}

function mask(text: string): string {
  return text.replace(/\b[0-9a-f]{64}\b/g, '<id>');
}

/** Maps whose keys are the user's or the host's: one entry stands for all. */
const MAPS = new Set([
  'Labels',
  'Networks',
  'Containers',
  'Options',
  'Ports',
  'ExposedPorts',
  'Runtimes',
  'stats',
  'networks',
  'IndexConfigs',
  'PortBindings',
  'Attributes',
  'Data',
]);

export function shapeOf(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (MAPS.has(name)) return entries.length === 0 ? {} : { '*': shapeOf(entries[0]![1]) };
  return Object.fromEntries(entries.map(([key, item]) => [key, shapeOf(item, key)]));
}
