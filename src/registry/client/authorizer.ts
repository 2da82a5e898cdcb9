import { EngineError } from '../../base/errors.ts';
import { answerError, readAll } from './answers.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { hostOf, isLoopback } from './addresses.ts';
import type { HttpResponse, HttpTransport } from './http.ts';

/** Who we are to a registry. */
export interface RegistryCredentials {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** An OAuth2 refresh token, kept by a client in the password's place. */
  readonly identityToken?: string | undefined;
  /** A bearer token, sent as it is. */
  readonly registryToken?: string | undefined;
}

const MAX_TOKEN_BYTES = 1 << 20;
/** What a token lives that says nothing of it (distribution's token specification). */
const DEFAULT_LIFE_SECONDS = 60;

interface Token {
  readonly value: string;
  readonly expiresAt: number;
  readonly refreshToken: string | undefined;
}

/** Makes `Authorization` for one registry out of what it asks for and of our credentials; keeps tokens by what they allow. */
export class Authorizer {
  readonly #transport: HttpTransport;
  readonly #origin: URL;
  readonly #credentials: RegistryCredentials;
  readonly #tokens = new Map<string, Promise<Token>>();
  #challenge: Challenge | undefined;

  constructor(transport: HttpTransport, origin: URL, credentials: RegistryCredentials) {
    this.#transport = transport;
    this.#origin = origin;
    this.#credentials = credentials;
  }

  /** Learns what a 401 asks for. False when it asks for nothing that we could do. */
  challenge({ headers }: Pick<HttpResponse, 'headers'>): boolean {
    const challenges = parseChallenges(headers['www-authenticate']);
    const known =
      challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm')) ??
      challenges.find(({ scheme }) => scheme === 'basic');
    if (known) this.#challenge = known;
    return known !== undefined;
  }

  /** Tokens for these scopes are not to be used again. */
  forget(scopes: readonly string[]): void {
    this.#tokens.delete(keyOf(scopes));
  }

  /** Undefined where nothing is asked for, or nothing can be given. Throws `unauthorized`, `forbidden`, `unavailable`. */
  async header(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined> {
    const { username, password, registryToken } = this.#credentials;
    if (registryToken) return `Bearer ${registryToken}`;
    if (!this.#challenge) return undefined;
    if (this.#challenge.scheme === 'basic') return username ? basic(username, password ?? '') : undefined;
    return `Bearer ${(await this.#token(scopes, signal)).value}`;
  }

  /** Asks for a token that can be kept in the password's place; undefined where there is none. */
  async identityToken(signal?: AbortSignal): Promise<string | undefined> {
    if (this.#challenge?.scheme !== 'bearer') return undefined;
    return (await this.#fetchToken(this.#challenge, [], { offline: true, signal })).refreshToken;
  }

  async #token(scopes: readonly string[], signal: AbortSignal | undefined): Promise<Token> {
    const key = keyOf(scopes);
    const known = await this.#tokens.get(key)?.catch(() => undefined);
    if (known && known.expiresAt > Date.now()) return known;
    // Without the signal of whoever came first: others wait for the same token.
    const fetched = this.#fetchToken(this.#challenge!, scopes, { offline: false });
    this.#tokens.set(key, fetched);
    fetched.catch(() => this.#tokens.delete(key));
    signal?.throwIfAborted();
    return fetched;
  }

  async #fetchToken(
    challenge: Challenge,
    scopes: readonly string[],
    { offline, signal }: { offline: boolean; signal?: AbortSignal | undefined },
  ): Promise<Token> {
    const realm = URL.parse(challenge.parameters.get('realm')!);
    const { username, password, identityToken } = this.#credentials;
    if (!realm || !mayAsk(this.#origin, realm)) throw strangeRealm(this.#origin, challenge);
    const service = challenge.parameters.get('service');
    const hasSecret = username !== undefined || identityToken !== undefined;
    if (hasSecret && !mayTrust(this.#origin, realm)) throw strangeRealm(this.#origin, challenge);
    let response: HttpResponse;
    if (identityToken) {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: identityToken,
        client_id: 'gantry',
      });
      if (service !== undefined) form.set('service', service);
      if (scopes.length > 0) form.set('scope', scopes.join(' '));
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const body = Buffer.from(form.toString());
      response = await this.#transport.send({ method: 'POST', url: realm, headers, body, signal });
    } else {
      if (service !== undefined) realm.searchParams.set('service', service);
      for (const scope of scopes) realm.searchParams.append('scope', scope);
      if (username) realm.searchParams.set('account', username);
      if (offline) {
        realm.searchParams.set('offline_token', 'true');
        realm.searchParams.set('client_id', 'gantry');
      }
      const headers: Record<string, string> = username ? { authorization: basic(username, password ?? '') } : {};
      response = await this.#transport.send({ method: 'GET', url: realm, headers, signal });
    }
    if (response.status !== 200) throw await answerError(response);
    return parseToken(await readAll(response, MAX_TOKEN_BYTES), realm);
  }
}

function parseToken(bytes: Buffer, realm: URL): Token {
  let document: { token?: unknown; access_token?: unknown; expires_in?: unknown; refresh_token?: unknown };
  try {
    document = JSON.parse(bytes.toString('utf8')) as typeof document;
  } catch (error) {
    throw new EngineError('unavailable', `the token server ${realm.origin} answers with something else than JSON`, {
      cause: error,
    });
  }
  const value = document.token ?? document.access_token;
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new EngineError(
      'unauthorized',
      `authorization server ${realm.origin} did not include a token in the response`,
    );
  }
  const life = typeof document.expires_in === 'number' ? document.expires_in : 0;
  // A little earlier, so that none ends on its way.
  const seconds = Math.max(life, DEFAULT_LIFE_SECONDS) * 0.9;
  return {
    value,
    expiresAt: Date.now() + seconds * 1000,
    refreshToken: typeof document.refresh_token === 'string' ? document.refresh_token : undefined,
  };
}

/** Plain HTTP only where the registry itself is spoken to so. */
function mayAsk(origin: URL, realm: URL): boolean {
  return realm.protocol === 'https:' || (realm.protocol === 'http:' && origin.protocol === 'http:');
}

/**
 * Whether a password may go there: to the registry's own host, or over TLS to a sibling or the parent of its name
 * (registry-1.docker.io and auth.docker.io). A registry must not be able to send our password to any place it likes.
 */
export function mayTrust(origin: URL, realm: URL): boolean {
  if (realm.host === origin.host) return mayAsk(origin, realm);
  const [own, other] = [hostOf(origin.host), hostOf(realm.host)];
  if (isLoopback(own) && own === other) return true;
  if (realm.protocol !== 'https:' || origin.protocol !== 'https:') return false;
  if (own === other) return realm.port === '';
  const labels = own.split('.');
  const parent = labels.slice(1);
  // "co.uk" is nobody's own name.
  const needed = parent.length >= 2 && parent.at(-1)!.length === 2 && parent.at(-2)!.length <= 3 ? 3 : 2;
  if (parent.length < needed || /^\d+$/.test(labels.at(-1)!) || realm.port !== '') return false;
  const domain = parent.join('.');
  return other === domain || other.endsWith(`.${domain}`);
}

function strangeRealm(origin: URL, challenge: Challenge): EngineError {
  return new EngineError(
    'forbidden',
    `${origin.host} asks to send credentials to ${challenge.parameters.get('realm')!.slice(0, 200)}, which is not part of it: they are not sent`,
  );
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function keyOf(scopes: readonly string[]): string {
  return [...scopes].sort().join(' ');
}
