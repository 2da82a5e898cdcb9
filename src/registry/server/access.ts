import { createHash, randomBytes } from 'node:crypto';
import { compare, hashSync } from 'bcryptjs';
import { EngineError } from '../../base/errors.ts';
import { ProtocolError } from './protocol-error.ts';

export type Action = 'pull' | 'push' | 'delete' | 'list';

export interface AccessOptions {
  /** Names and their bcrypt hashes; undefined lets everyone do everything. */
  readonly users?: ReadonlyMap<string, string> | undefined;
  /** Pulls need no login. */
  readonly anonymousPull?: boolean | undefined;
  /** Nobody changes anything: for a registry without users that other machines can reach. */
  readonly readOnly?: boolean | undefined;
}

/** A login that was checked is good for so long. bcrypt is slow on purpose, and clients send it with each request. */
const REMEMBER_MS = 5 * 60_000;
const MAX_REMEMBERED = 1000;

/** Who may do what. */
export class Access {
  readonly #options: AccessOptions;
  readonly #secret = randomBytes(32);
  readonly #remembered = new Map<string, { readonly subject: string; readonly until: number }>();
  /** For names that there are not: an answer that comes sooner would say so. */
  readonly #nobody: string;

  constructor(options: AccessOptions = {}) {
    this.#options = options;
    this.#nobody = options.users ? hashSync(randomBytes(16).toString('hex'), 10) : '';
  }

  /** Who is asking; undefined for nobody in particular. Throws 401 for a wrong login, or where one is needed. */
  async subject(authorization: string | undefined, action: Action): Promise<string | undefined> {
    const { users, anonymousPull, readOnly } = this.#options;
    if (readOnly && (action === 'push' || action === 'delete')) throw closedToPushes();
    if (!users) return undefined;
    if (authorization === undefined) {
      if (anonymousPull && action === 'pull') return undefined;
      throw unauthorized();
    }
    const key = createHash('sha256').update(this.#secret).update(authorization).digest('base64');
    const known = this.#remembered.get(key);
    if (known && known.until > Date.now()) return known.subject;
    const subject = await this.#check(users, authorization);
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, { subject, until: Date.now() + REMEMBER_MS });
    return subject;
  }

  async #check(users: ReadonlyMap<string, string>, authorization: string): Promise<string> {
    const encoded = /^basic +([A-Za-z0-9+/=]+)$/i.exec(authorization)?.[1] ?? '';
    const text = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    const name = text.slice(0, Math.max(colon, 0));
    const hash = users.get(name);
    const good = await compare(text.slice(colon + 1), hash ?? this.#nobody);
    if (hash === undefined || !good) throw unauthorized();
    return name;
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

function closedToPushes(): ProtocolError {
  return new ProtocolError(
    403,
    'DENIED',
    'this registry has no logins and takes pushes only where it listens on a loopback address: give it users, or set openPush',
  );
}

function unauthorized(): ProtocolError {
  return new ProtocolError(401, 'UNAUTHORIZED', 'authentication required', {
    'www-authenticate': 'Basic realm="Registry"',
  });
}
