import { randomBytes } from 'node:crypto';
import { type AccessRule, AccessRules, type Action } from './access-rules.ts';
import { Logins, type Users } from './logins.ts';
import { ProtocolError } from './protocol-error.ts';
import { isCurrent, type TokenClaims, TokenSigner, type TokenVerifier } from './tokens.ts';

export interface AccessOptions {
  /** Who may log in; undefined lets everyone do everything. A function may give others later. */
  readonly users?: Users | (() => Users) | undefined;
  /** Pulls need no login. */
  readonly anonymousPull?: boolean | undefined;
  /** Instead of "who is logged in may do everything". */
  readonly rules?: readonly AccessRule[] | undefined;
  readonly groups?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Bearer tokens of our own service at `/token`, or of one elsewhere. */
  readonly tokens?: TokenOptions | undefined;
  /** Nobody changes anything: for a registry without users that other machines can reach. */
  readonly readOnly?: boolean | undefined;
}

export interface TokenOptions {
  readonly service: string;
  readonly issuer: string;
  /** Where clients get tokens; undefined is `/token` of the address they came to. */
  readonly realm?: string | undefined;
  /** Signs our own tokens; undefined is one that nobody knows after the process's end. */
  readonly secret?: Buffer | undefined;
  /** Reads the tokens of a service elsewhere; then there is none here. */
  readonly verifier?: TokenVerifier | undefined;
  /** Default 300. */
  readonly lifeSeconds?: number | undefined;
}

/** Who is asking. */
export interface Identity {
  /** Undefined for nobody in particular. */
  readonly subject: string | undefined;
  /** Of a request with a token: what it was given for. */
  readonly token?: TokenClaims | undefined;
}

/** What a request comes with. */
export interface Asking {
  readonly authorization: string | undefined;
  /** Who TLS says that it is. */
  readonly certificateName?: string | undefined;
  readonly address: string;
  /** `http://registry.lan:5000`, as the client knows us. */
  readonly origin: string;
}

const NOBODY: Identity = { subject: undefined };

/** Who may do what. */
export class Access {
  readonly #options: AccessOptions;
  readonly #logins: Logins | undefined;
  readonly #rules: AccessRules | undefined;
  readonly #signer: TokenSigner | undefined;

  constructor(options: AccessOptions = {}) {
    this.#options = options;
    const { users, rules, groups, tokens } = options;
    this.#logins = users && new Logins(typeof users === 'function' ? users : () => users);
    this.#rules = rules && new AccessRules(rules, groups);
    this.#signer = tokens && !tokens.verifier ? new TokenSigner(tokens.secret ?? randomBytes(32)) : undefined;
  }

  get logins(): Logins | undefined {
    return this.#logins;
  }

  /** The token service that is here; undefined where there is none. */
  get tokens(): { readonly signer: TokenSigner; readonly options: TokenOptions } | undefined {
    const { tokens } = this.#options;
    return this.#signer && tokens && { signer: this.#signer, options: tokens };
  }

  /** Throws 401 for a wrong login or token. */
  async identify(asking: Asking): Promise<Identity> {
    const { authorization, certificateName, address } = asking;
    if (authorization === undefined) return certificateName === undefined ? NOBODY : { subject: certificateName };
    if (!this.#isGuarded) return NOBODY;
    if (/^bearer /i.test(authorization)) {
      const token = this.#token(authorization.slice('bearer '.length).trim());
      if (!token) throw this.#unauthorized(asking, undefined, 'invalid_token');
      return { subject: token.sub || undefined, token };
    }
    const subject = await this.#logins?.basic(authorization, address);
    if (subject === undefined) throw this.#unauthorized(asking);
    return { subject };
  }

  /** Throws 401 where a login may help, 403 where none does. */
  check(identity: Identity, action: Action, repository: string | undefined, asking: Asking): void {
    if (this.#options.readOnly && (action === 'push' || action === 'delete')) throw closedToPushes();
    if (this.mayDo(identity, action, repository)) return;
    const scope = repository === undefined ? undefined : `repository:${repository}:${scopeActions(action)}`;
    // Whoever comes with a token may get one that says more.
    if (identity.token && this.allows(identity.subject, action, repository)) {
      throw this.#unauthorized(asking, scope, 'insufficient_scope');
    }
    if (identity.subject === undefined) throw this.#unauthorized(asking, scope);
    throw new ProtocolError(403, 'DENIED', `${identity.subject} may not ${action} here`);
  }

  mayDo({ subject, token }: Identity, action: Action, repository: string | undefined): boolean {
    if (!this.#isGuarded) return true;
    const { tokens, anonymousPull } = this.#options;
    if (tokens?.verifier && !token && subject === undefined) return anonymousPull === true && action === 'pull';
    // The greeting is where clients learn that there are tokens.
    if (repository === undefined && action === 'pull') {
      return this.#options.tokens
        ? token !== undefined || subject !== undefined
        : this.allows(subject, action, undefined);
    }
    // Tokens are for what they were given for, and only as long as the rules still say so.
    if (token && repository !== undefined && !isGranted(token, action, repository)) return false;
    return this.allows(subject, action, repository);
  }

  /** What rules say, whatever a token says. */
  allows(subject: string | undefined, action: Action, repository: string | undefined): boolean {
    const { anonymousPull, tokens } = this.#options;
    if (!this.#isGuarded) return true;
    if (anonymousPull && action === 'pull') return true;
    if (!this.#rules) return subject !== undefined || (tokens?.verifier !== undefined && repository !== undefined);
    if (action === 'list') return this.#rules.allowSomewhere(subject, 'pull');
    if (repository === undefined) return subject !== undefined || this.#rules.allowSomewhere(subject, action);
    return this.#rules.allow(subject, action, repository);
  }

  get #isGuarded(): boolean {
    return this.#logins !== undefined || this.#rules !== undefined || this.#options.tokens !== undefined;
  }

  #token(text: string): TokenClaims | undefined {
    const { tokens } = this.#options;
    const claims = (tokens?.verifier ?? this.#signer)?.verify(text);
    if (!claims || !tokens || !isCurrent(claims, tokens) || claims.refresh !== undefined) return undefined;
    // Somebody who is no user any more is out, whatever tokens are left.
    if (this.#signer && claims.sub !== '' && this.#logins?.fingerprint(claims.sub) === undefined) return undefined;
    return claims;
  }

  #unauthorized(asking: Asking, scope?: string, error?: string): ProtocolError {
    const { tokens } = this.#options;
    const challenge = tokens
      ? [
          `Bearer realm="${tokens.realm ?? `${asking.origin}/token`}",service="${tokens.service}"`,
          ...(scope === undefined ? [] : [`scope="${scope}"`]),
          ...(error === undefined ? [] : [`error="${error}"`]),
        ].join(',')
      : 'Basic realm="Registry"';
    return new ProtocolError(401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': challenge });
  }
}

/** A token's words for our actions. */
export function scopeActions(action: Action): string {
  return action === 'push' ? 'pull,push' : action;
}

function isGranted({ access }: TokenClaims, action: Action, repository: string): boolean {
  return access.some(
    ({ type, name, actions }) =>
      type === 'repository' && name === repository && (actions.includes(action) || actions.includes('*')),
  );
}

function closedToPushes(): ProtocolError {
  return new ProtocolError(
    403,
    'DENIED',
    'this registry has no logins and takes pushes only where it listens on a loopback address: give it users, or set openPush',
  );
}
