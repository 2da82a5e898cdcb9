import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { JobContext, Jobs } from '../../../base/worker-server.ts';
import type { TarHeader } from '../../../content/tar/header.ts';
import { type TarHandler, TarParser } from '../../../content/tar/parser.ts';
import { freeBytes, MAX_ENTRIES, readArchive } from '../../../snapshot/apply-layer-job.ts';
import { Extractor } from '../../../snapshot/extractor.ts';
import { KeptFiles } from './kept-files.ts';
import type { ReceivedContext, ReceiveParameters } from './uploaded-contexts.ts';

export const jobs: Jobs = {
  /** Unpacks a context; files that were sent before are links to what is kept. */
  receive: async ({ store, target, list }: ReceiveParameters, context: JobContext): Promise<ReceivedContext> => {
    const tree = new TextDigest();
    let whole = true;
    await using files = new KeptFiles(store, (digest) => tree.add(digest));
    using extractor = new Extractor(target, {
      whiteouts: 'literal',
      keeper: files,
      maxEntries: MAX_ENTRIES,
      maxBytes: freeBytes(target),
    });
    const handler: TarHandler = {
      entry: (header) => {
        // What is kept elsewhere than in a list of digests has to be read again.
        whole &&= header.type !== 'file' || header.xattrs.size === 0;
        tree.add(describe(header));
        extractor.entry(header);
      },
      data: (chunk, offset) => extractor.data(chunk, offset),
      entryEnd: () => extractor.entryEnd(),
    };
    const parser = new TarParser(handler);
    await readArchive({ allowExternal: true }, context, (chunk) => parser.push(chunk));
    parser.finish();
    extractor.finish();
    if (!whole) return { tree: undefined };
    writeFileSync(list, `\n${JSON.stringify([...files.digests].map(([path, digest]) => [[path], digest]))}`);
    return { tree: `upload ${tree.end()}` };
  },
};

/** The digest of many short texts, one after the other. */
class TextDigest {
  readonly #hash = createHash('sha256');
  #waiting = '';

  add(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length > TOGETHER) this.#pass();
  }

  end(): string {
    this.#pass();
    return this.#hash.digest('hex');
  }

  #pass(): void {
    this.#hash.update(this.#waiting, 'latin1');
    this.#waiting = '';
  }
}

const TOGETHER = 16 << 10;

/** All that an entry is but its times and its owner, which no step sees. */
function describe({ type, name, linkName, size, mode, deviceMajor, deviceMinor }: TarHeader): string {
  return JSON.stringify([type, name, linkName, size, mode, deviceMajor, deviceMinor]);
}
