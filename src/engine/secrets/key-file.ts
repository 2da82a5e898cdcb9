import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { SealedValue } from '../../state/secrets.ts';

const CIPHER = 'aes-256-gcm';

interface Key {
  readonly id: string;
  /** Base64, of 32 bytes. */
  readonly key: string;
}

/**
 * The keys that secrets are sealed with, in a file of their own (0600): whoever has a copy of the database alone has no
 * secret. The first key seals; further ones are there only while a rotation is under way, or after one that was cut off.
 */
export class KeyFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** `context` must be given again to open it. Makes the file when there is none, unless `mustExist`. */
  seal(value: Uint8Array, context: string, options: { readonly mustExist: boolean }): SealedValue {
    const [first] = this.#load() ?? this.#create(options);
    const nonce = randomBytes(12);
    const cipher = createCipheriv(CIPHER, Buffer.from(first!.key, 'base64'), nonce);
    cipher.setAAD(Buffer.from(context));
    const data = Buffer.concat([cipher.update(value), cipher.final()]);
    const text = (bytes: Buffer): string => bytes.toString('base64');
    return { key: first!.id, nonce: text(nonce), tag: text(cipher.getAuthTag()), data: text(data) };
  }

  /** Throws `unavailable` when its key is not there, `corrupt` when it was changed or is another secret's. */
  open(sealed: SealedValue, context: string): Buffer {
    const keys = this.#load();
    const key = keys?.find(({ id }) => id === sealed.key);
    if (!key) {
      const why = keys === undefined ? 'is not there' : `has no key ${sealed.key}`;
      throw new EngineError(
        'unavailable',
        `the key file of the secrets ${this.path} ${why}: put it back, or remove the secrets and make them again`,
      );
    }
    const decipher = createDecipheriv(CIPHER, Buffer.from(key.key, 'base64'), Buffer.from(sealed.nonce, 'base64'));
    decipher.setAAD(Buffer.from(context));
    decipher.setAuthTag(Buffer.from(sealed.tag, 'base64'));
    try {
      return Buffer.concat([decipher.update(Buffer.from(sealed.data, 'base64')), decipher.final()]);
    } catch (error) {
      throw new EngineError('corrupt', 'the sealed value does not belong to this key and secret', { cause: error });
    }
  }

  /** The key that seals now. */
  get active(): string | undefined {
    return this.#load()?.[0]?.id;
  }

  /** Puts a new key in front. The older ones stay until `retire`: until nothing is sealed with them. */
  advance(): void {
    this.#write([newKey(), ...(this.#load() ?? [])]);
  }

  /** Forgets all keys but the one that seals. */
  retire(): void {
    const keys = this.#load() ?? [];
    if (keys.length > 1) this.#write(keys.slice(0, 1));
  }

  #create({ mustExist }: { readonly mustExist: boolean }): readonly Key[] {
    if (mustExist) {
      throw new EngineError(
        'unavailable',
        `the key file of the secrets ${this.path} is not there, and secrets exist: put it back, or remove them first`,
      );
    }
    this.#write([newKey()]);
    return this.#load()!;
  }

  /** Read again each time: it may be replaced, and a copy in memory of a key that was taken away is no use to anybody. */
  #load(): readonly Key[] | undefined {
    let fd: number;
    try {
      fd = openSync(this.path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new EngineError('unavailable', `the key file of the secrets cannot be read: ${errorMessage(error)}`, {
        cause: error,
      });
    }
    try {
      if ((fstatSync(fd).mode & 0o077) !== 0) {
        throw new EngineError(
          'unavailable',
          `others may read the key file of the secrets ${this.path}: chmod 600 it, and rotate the key (gantry secret rotate-key)`,
        );
      }
      return parseKeys(readFileSync(fd, 'utf8'), this.path);
    } finally {
      closeSync(fd);
    }
  }

  /** Durable and whole, or not at all. */
  #write(keys: readonly Key[]): void {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    const aside = `${this.path}.new`;
    rmSync(aside, { force: true });
    const fd = openSync(aside, 'wx', 0o600);
    try {
      writeSync(fd, `${JSON.stringify({ keys })}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(aside, this.path);
    const directory = openSync(dirname(this.path), 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }
}

function newKey(): Key {
  return { id: randomBytes(4).toString('hex'), key: randomBytes(32).toString('base64') };
}

function parseKeys(text: string, path: string): readonly Key[] {
  try {
    const { keys } = JSON.parse(text) as { keys: Key[] };
    if (keys.length > 0 && keys.every(({ id, key }) => id !== '' && Buffer.from(key, 'base64').length === 32))
      return keys;
  } catch {
    // as a file that says something else
  }
  throw new EngineError('corrupt', `the key file of the secrets ${path} is damaged: put back a copy of it`);
}
