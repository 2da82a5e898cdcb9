/** The engine's API behind this page's own server. Every call throws an `Error` with the engine's words. */

export async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const response = await fetch(`/api${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  });
  if (!response.ok) throw new Error(await complaint(response));
  return response;
}

export async function get<T>(path: string): Promise<T> {
  return (await (await call('GET', path)).json()) as T;
}

async function complaint(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text || `${response.status} ${response.statusText}`;
  }
}

export function filters(values: Readonly<Record<string, readonly string[]>>): string {
  return encodeURIComponent(JSON.stringify(values));
}

/** JSON documents of a stream, until it ends or `signal` says so. */
export async function* jsonStream<T>(path: string, signal: AbortSignal): AsyncGenerator<T> {
  let rest = '';
  for await (const text of textStream(path, signal)) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as T;
  }
}

async function* textStream(path: string, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of byteStream(path, signal)) yield decoder.decode(chunk, { stream: true });
}

export async function* byteStream(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const response = await fetch(`/api${path}`, { signal });
  if (!response.ok) throw new Error(await complaint(response));
  const reader = response.body!.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export interface LogPart {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

/** Output of a container: frames of eight bytes and their content, or with a terminal the bytes alone. */
export async function* logStream(path: string, tty: boolean, signal: AbortSignal): AsyncGenerator<LogPart> {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  let rest = new Uint8Array();
  for await (const chunk of byteStream(path, signal)) {
    if (tty) {
      yield { stream: 'stdout', text: decoders.stdout.decode(chunk, { stream: true }) };
      continue;
    }
    const bytes = new Uint8Array(rest.length + chunk.length);
    bytes.set(rest);
    bytes.set(chunk, rest.length);
    let at = 0;
    while (at + 8 <= bytes.length) {
      const length = new DataView(bytes.buffer).getUint32(at + 4);
      if (at + 8 + length > bytes.length) break;
      const stream = bytes[at] === 2 ? 'stderr' : 'stdout';
      yield { stream, text: decoders[stream].decode(bytes.subarray(at + 8, at + 8 + length), { stream: true }) };
      at += 8 + length;
    }
    rest = bytes.slice(at);
  }
}
