import type { Bytes } from '../content-store.ts';
import { EngineError } from '../../base/errors.ts';
import type { TarHeader } from './header.ts';
import { TarParser } from './parser.ts';

export interface TarEntry {
  readonly header: TarHeader;
  /** The content, holes filled with zeros. Read it before asking for the next entry, or not at all: then it is skipped. */
  readonly body: Bytes;
}

type Event =
  | { readonly kind: 'entry'; readonly header: TarHeader }
  | { readonly kind: 'data'; readonly chunk: Buffer; readonly offset: number }
  | { readonly kind: 'end' };

const ZEROS = Buffer.alloc(65536);

/** The entries of an uncompressed tar, one after the other, holding at most one chunk of `source`. Reads `source` to its very end. Throws `corrupt`, `too-large`. */
export async function* readTar(source: Bytes): AsyncGenerator<TarEntry> {
  const events = eventsOf(source)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { value: event, done } = await events.next();
      if (done) return;
      if (event.kind !== 'entry') continue; // what is left of a body that nobody read
      const body = contentOf(event.header, events);
      yield { header: event.header, body };
      for await (const _ of body);
    }
  } finally {
    await events.return?.(undefined);
  }
}

async function* eventsOf(source: Bytes): AsyncGenerator<Event> {
  let events: Event[] = [];
  const parser = new TarParser({
    entry: (header) => events.push({ kind: 'entry', header }),
    data: (chunk, offset) => events.push({ kind: 'data', chunk, offset }),
    entryEnd: () => events.push({ kind: 'end' }),
  });
  for await (const chunk of source) {
    parser.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    const ready = events;
    events = [];
    yield* ready;
  }
  parser.finish();
}

async function* contentOf(header: TarHeader, events: AsyncIterator<Event>): AsyncGenerator<Uint8Array> {
  let position = 0;
  for (;;) {
    const { value: event, done } = await events.next();
    if (done || event.kind === 'entry') throw new EngineError('corrupt', 'invalid tar: unexpected end of the archive');
    const until = event.kind === 'data' ? event.offset : header.size;
    for (; position < until; position += Math.min(until - position, ZEROS.length)) {
      yield ZEROS.subarray(0, Math.min(until - position, ZEROS.length));
    }
    if (event.kind === 'end') return;
    yield event.chunk;
    position += event.chunk.length;
  }
}
