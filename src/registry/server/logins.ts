import { createHash, randomBytes } from 'node:crypto';
import { compare, hashSync } from 'bcryptjs';
import { EngineError } from '../../base/errors.ts';
import { ProtocolError } from './protocol-error.ts';

/** Names and their bcrypt hashes. */
export type Users = ReadonlyMap<string, string>;

/** A login that was checked is good for so long. bcrypt is slow on purpose, and clients send it with each request. */
const REMEMBER_MS = 5 * 60_000;
const MAX_REMEMBERED = 1000;
/** Wrong logins of one address in a minute. */
const MAX_FAILURES = 20;
const FAILURES_MS = 60_000;
/** Checks at once: more would take the processor from everyone else. */
const MAX_CHECKS = 64;

/** Checks names and passwords. */
export class Logins {
  readonly #load: () => Users;
  readonly #secret = randomBytes(32);
  #users: Users;
  readonly #remembered = new Map<string, { readonly subject: string; readonly until: number }>();
  readonly #failures = new Map<string, { count: number; readonly until: number }>();
  #checks = 0;
  /** For names that there are not: an answer that comes sooner would say so. */
  readonly #nobody: string;

  /** `load` may give other users later: who is not among them any more is out at once. */
  constructor(load: () => Users) {
    this.#load = load;
    this.#users = load();
    const [cost = 10] = [...this.#users.values()].map((hash) => Number(hash.slice(4, 6)));
    this.#nobody = hashSync(randomBytes(16).toString('hex'), cost);
  }

  /** The name of a `Basic` header; undefined when it is none or wrong. Throws 429 for an address that guesses. */
  async basic(authorization: string, address: string): Promise<string | undefined> {
    const encoded = /^basic +([A-Za-z0-9+/=]+)$/i.exec(authorization)?.[1] ?? '';
    const text = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    return colon < 0 ? undefined : this.check(text.slice(0, colon), text.slice(colon + 1), address);
  }

  async check(name: string, password: string, address: string): Promise<string | undefined> {
    const users = this.#current();
    const key = createHash('sha256').update(this.#secret).update(`${name}\0${password}`).digest('base64');
    const known = this.#remembered.get(key);
    if (known && known.until > Date.now()) return known.subject;
    this.#refuseGuesser(address);
    if (this.#checks >= MAX_CHECKS) throw tooMany('too many logins at once');
    this.#checks++;
    try {
      const hash = users.get(name);
      const good = await compare(password, hash ?? this.#nobody);
      if (hash === undefined || !good) {
        this.#countFailure(address);
        return undefined;
      }
    } finally {
      this.#checks--;
    }
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, { subject: name, until: Date.now() + REMEMBER_MS });
    return name;
  }

  /** Something that changes with the password; undefined for nobody. */
  fingerprint(name: string): string | undefined {
    const hash = this.#current().get(name);
    return hash === undefined
      ? undefined
      : createHash('sha256').update(`${name}\0${hash}`).digest('base64url').slice(0, 16);
  }

  #current(): Users {
    const users = this.#load();
    if (users !== this.#users) this.#remembered.clear();
    this.#users = users;
    return users;
  }

  #refuseGuesser(address: string): void {
    const failures = this.#failures.get(address);
    if (failures && failures.until > Date.now() && failures.count >= MAX_FAILURES) {
      throw tooMany('too many wrong logins from this address');
    }
  }

  #countFailure(address: string): void {
    const now = Date.now();
    const failures = this.#failures.get(address);
    if (failures && failures.until > now) return void failures.count++;
    if (this.#failures.size >= MAX_REMEMBERED) this.#failures.clear();
    this.#failures.set(address, { count: 1, until: now + FAILURES_MS });
  }
}

/** Reads an htpasswd file with bcrypt entries. Throws `invalid-argument`, naming the line. */
export function parseHtpasswd(text: string): Map<string, string> {
  const users = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const match = /^([^:]+):(\$2[aby]?\$\d\d\$[./A-Za-z0-9]{53})$/.exec(line.trim());
    if (!match) {
      throw new EngineError(
        'invalid-argument',
        `line ${index + 1} of the htpasswd file is no bcrypt entry: make it with \`htpasswd -B\``,
      );
    }
    users.set(match[1]!, match[2]!);
  }
  return users;
}

function tooMany(message: string): ProtocolError {
  return new ProtocolError(429, 'TOOMANYREQUESTS', message, { 'retry-after': '60' });
}
