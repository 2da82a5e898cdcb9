import type { KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { readPublicKey } from '../../registry/signature/payload.ts';

/** What an engine lets in and lets run. */
export interface Policy {
  readonly path: string;
  /** Prefixes of repositories that images may come from; undefined is any. */
  readonly registries: readonly string[] | undefined;
  /** Whose images must be named by digest: all, or those below these prefixes. */
  readonly requireDigest: boolean | readonly string[];
  readonly signatures: readonly SignatureRule[];
  readonly typos: 'warn' | 'refuse' | 'off';
}

export interface SignatureRule {
  /** A prefix of repositories; `*` is all. */
  readonly images: string;
  /** One of them must have signed. */
  readonly keys: readonly KeyObject[];
}

export const NO_POLICY: Policy = {
  path: '',
  registries: undefined,
  requireDigest: false,
  signatures: [],
  typos: 'warn',
};

/** Whether a canonical repository (`docker.io/library/nginx`) is `prefix` or below it; `*.example.com` is every host there. */
export function isBelowPrefix(repository: string, prefix: string): boolean {
  if (prefix === '*') return true;
  if (prefix.startsWith('*.')) {
    const slash = prefix.indexOf('/');
    const [host, rest] = slash < 0 ? [prefix, ''] : [prefix.slice(0, slash), prefix.slice(slash)];
    const own = repository.indexOf('/');
    return (
      repository.slice(0, own).endsWith(host.slice(1)) &&
      isBelowPrefix(repository.slice(own), rest || repository.slice(own))
    );
  }
  return repository === prefix || repository.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

/**
 * A policy file, read again when it changes. One that is not there is no policy; one that cannot be read as meant lets
 * nothing through: every call throws `invalid-argument` with what is wrong.
 */
export class PolicyFile {
  readonly #path: string;
  #known: { readonly stamp: string; readonly policy: Policy } | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  read(): Policy {
    let stamp: string;
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      stamp = `${mtimeMs} ${size} ${ino}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NO_POLICY;
      throw this.#wrong((error as Error).message, error);
    }
    if (this.#known?.stamp !== stamp) this.#known = { stamp, policy: this.#parse() };
    return this.#known.policy;
  }

  #parse(): Policy {
    try {
      return parsePolicy(readFileSync(this.#path, 'utf8'), this.#path);
    } catch (error) {
      throw this.#wrong((error as Error).message, error);
    }
  }

  #wrong(words: string, cause: unknown): EngineError {
    return new EngineError('invalid-argument', `image policy ${this.#path}: ${words}`, { cause });
  }
}

const FIELDS = ['registries', 'requireDigest', 'signatures', 'typos'];

/** Throws an Error that says what is wrong. Keys are read with it, from files beside `path`. */
export function parsePolicy(text: string, path: string): Policy {
  const document = JSON.parse(text) as unknown;
  if (typeof document !== 'object' || document === null || Array.isArray(document)) throw new Error('not an object');
  const unknown = Object.keys(document).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw new Error(`${unknown} is not known: use ${FIELDS.join(', ')}`);
  const { registries, requireDigest = false, signatures = [], typos = 'warn' } = document as Record<string, unknown>;
  if (registries !== undefined && !isPrefixes(registries)) throw new Error('registries must be a list of names');
  if (typeof requireDigest !== 'boolean' && !isPrefixes(requireDigest))
    throw new Error('requireDigest must be true, false or a list of names');
  if (!Array.isArray(signatures)) throw new Error('signatures must be a list');
  if (typos !== 'warn' && typos !== 'refuse' && typos !== 'off') throw new Error('typos must be warn, refuse or off');
  const rules = signatures.map((rule: unknown): SignatureRule => {
    const { images, keys } = (rule ?? {}) as { images?: unknown; keys?: unknown };
    if (!isPrefixes([images]) || !isPrefixes(keys)) throw new Error('a signature rule needs images and a list of keys');
    const files = keys.map((file) => (isAbsolute(file) ? file : join(dirname(path), file)));
    return { images: images as string, keys: files.map((file) => readPublicKey(readFileSync(file, 'utf8'))) };
  });
  return { path, registries, requireDigest, signatures: rules, typos };
}

function isPrefixes(value: unknown): value is string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string' && /^[^\s]+$/.test(one))
  );
}
