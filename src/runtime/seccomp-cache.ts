import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { LinuxSeccomp } from './spec/oci-spec.ts';

/** crun's annotation for a filter that is compiled already, in base64. Not a client's to set: see spec/annotations.ts. */
export const SECCOMP_BPF_ANNOTATION = 'run.oci.seccomp_bpf_data';

/**
 * Compiled seccomp filters. Compiling Docker's default profile takes crun 25 ms of the 40 that a start has; what it
 * compiled stays in its state directory, and is given back to it the next time. A filter is found by everything that it
 * is made from: the profile, the compiler, the machine.
 */
export class SeccompCache {
  readonly #directory: string;
  readonly #architecture: string;
  /** Base64 of the filters in use: there are few. */
  readonly #filters = new Map<string, string>();

  constructor(options: { readonly directory: string; readonly architecture: string }) {
    this.#directory = options.directory;
    this.#architecture = options.architecture;
  }

  key(profile: LinuxSeccomp, runtimeVersion: string): string {
    const made = [runtimeVersion, this.#architecture, JSON.stringify(profile)].join('\0');
    return createHash('sha256').update(made).digest('hex');
  }

  /** The compiled filter in base64, when it is known. */
  get(key: string): string | undefined {
    const known = this.#filters.get(key);
    if (known !== undefined) return known;
    try {
      const content = readFileSync(`${this.#directory}/${key}`);
      const filter = content.subarray(DIGEST_SIZE);
      // A file damaged by a power failure would be refused by the kernel, or let more pass.
      if (!digest(filter).equals(content.subarray(0, DIGEST_SIZE))) return undefined;
      return this.#remember(key, filter);
    } catch {
      return undefined; // compiled again, then
    }
  }

  /** Takes what crun compiled. Best effort: without it the next start only takes longer. */
  put(key: string, compiledFile: string): void {
    try {
      const filter = readFileSync(compiledFile);
      if (filter.length === 0) return;
      this.#remember(key, filter);
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      writeFileSync(`${this.#directory}/${key}.new`, Buffer.concat([digest(filter), filter]), { mode: 0o600 });
      renameSync(`${this.#directory}/${key}.new`, `${this.#directory}/${key}`);
    } catch {
      return;
    }
  }

  #remember(key: string, filter: Buffer): string {
    if (this.#filters.size >= MAX_FILTERS) this.#filters.clear();
    const encoded = filter.toString('base64');
    this.#filters.set(key, encoded);
    return encoded;
  }
}

const MAX_FILTERS = 64;
const DIGEST_SIZE = 32;

function digest(content: Buffer): Buffer {
  return createHash('sha256').update(content).digest();
}
