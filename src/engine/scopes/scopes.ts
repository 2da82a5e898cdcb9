import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SCOPE_LABEL, type Scope, type ScopeCreated, type ScopeCreateRequest } from '../../api/scope.ts';
import { EngineError } from '../../base/errors.ts';
import type { ScopeRecord, ScopeStore } from '../../state/scopes.ts';
import type { ScopeService } from '../engine.ts';

const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/;
/** `key=value`; control characters would begin lines in logs. */
const LABEL = /^[^=\p{Cc}]{1,200}=[^\p{Cc}]{1,200}$/u;
const IMAGE = /^[A-Za-z0-9*?._:@/[\]-]{1,300}$/;
const MAX_IMAGES = 100;

/**
 * Which scopes there are, and the directories of their sockets: `<data-root>/scopes/<name>/`, which containers mount. What
 * they allow, the daemon sees to. A record is written before its directory is made and deleted before it goes; the next
 * start makes and removes what is missing or too many.
 */
export class Scopes implements ScopeService {
  readonly #store: ScopeStore;
  readonly #directory: string;

  constructor(store: ScopeStore, dataRoot: string) {
    this.#store = store;
    this.#directory = join(dataRoot, 'scopes');
    // The sockets may be opened by anyone who gets at them, whoever a container's user is: so nobody else of this host may.
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    chmodSync(this.#directory, 0o700);
    const names = new Set(store.list().map(({ name }) => name));
    for (const name of readdirSync(this.#directory)) {
      if (!names.has(name)) rmSync(join(this.#directory, name), { recursive: true, force: true });
    }
    for (const name of names) this.#makeDirectory(name);
  }

  list(): Scope[] {
    return this.#store.list().map((record) => this.#document(record));
  }

  create(request: ScopeCreateRequest): ScopeCreated {
    const { Name: name, ReadOnly: readOnly = false, Images: images = [], Token, Ensure } = request;
    if (!NAME.test(name ?? '')) {
      throw new EngineError(
        'invalid-argument',
        `invalid scope name ${JSON.stringify(name ?? '')}: small letters, digits, and . _ - after the first`,
      );
    }
    const label = request.Label || (readOnly ? '' : `${SCOPE_LABEL}=${name}`);
    if (label !== '' && !LABEL.test(label)) {
      throw new EngineError('invalid-argument', `the label of a scope is KEY=VALUE, ${JSON.stringify(label)} is none`);
    }
    if (label.startsWith(`${SCOPE_LABEL}=`) && label !== `${SCOPE_LABEL}=${name}`) {
      throw new EngineError('invalid-argument', `${label} is the label of another scope`);
    }
    const wrong = images.find((pattern) => !IMAGE.test(pattern));
    if (wrong !== undefined || images.length > MAX_IMAGES) {
      throw new EngineError(
        'invalid-argument',
        `${JSON.stringify(wrong ?? images.length)}: at most ${MAX_IMAGES} patterns of image names`,
      );
    }
    const token = Token ? `gantry-scope-${randomBytes(32).toString('base64url')}` : undefined;
    const record: ScopeRecord = {
      id: name,
      name,
      createdAt: new Date().toISOString(),
      readOnly,
      label,
      images,
      ...(token !== undefined && { tokenHash: hashOf(token) }),
    };
    const known = this.#store.get(name);
    if (known && Ensure && isSame(known, record)) return this.#document(known);
    if (known) {
      throw new EngineError(
        'conflict',
        `there is a scope ${name}${Ensure ? ' that allows something else' : ''}: remove it first, or choose another name`,
      );
    }
    this.#store.insert(record);
    this.#makeDirectory(name);
    return { ...this.#document(record), ...(token !== undefined && { Token: token }) };
  }

  remove(name: string): void {
    if (!this.#store.get(name)) throw new EngineError('not-found', `No such scope: ${name}`);
    this.#store.delete(name);
    rmSync(join(this.#directory, name), { recursive: true, force: true });
  }

  byToken(token: string): Scope | undefined {
    // By its hash: how long that takes tells nothing of the token.
    const hash = hashOf(token);
    const record = this.#store.list().find(({ tokenHash }) => tokenHash === hash);
    return record && this.#document(record);
  }

  #makeDirectory(name: string): void {
    mkdirSync(join(this.#directory, name), { recursive: true, mode: 0o755 });
    chmodSync(join(this.#directory, name), 0o755);
  }

  #document({ name, createdAt, readOnly, label, images, tokenHash }: ScopeRecord): Scope {
    return {
      Name: name,
      CreatedAt: createdAt,
      ReadOnly: readOnly,
      Label: label,
      Images: images,
      HasToken: tokenHash !== undefined,
      Directory: join(this.#directory, name),
    };
  }
}

function isSame(a: ScopeRecord, b: ScopeRecord): boolean {
  return a.readOnly === b.readOnly && a.label === b.label && a.images.join(' ') === b.images.join(' ');
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
