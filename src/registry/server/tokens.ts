import {
  createHmac,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  randomUUID,
  timingSafeEqual,
  verify as verifySignature,
} from 'node:crypto';
import { EngineError } from '../../base/errors.ts';

/** What a token says of its bearer (RFC 7519, with the distribution project's `access`). */
export interface TokenClaims {
  readonly iss: string;
  /** Empty for nobody in particular. */
  readonly sub: string;
  readonly aud: string;
  /** Seconds since the epoch. */
  readonly exp: number;
  readonly access: readonly TokenAccess[];
  /** Of a token that only gets others: the user's password as it was. */
  readonly refresh?: string;
}

export interface TokenAccess {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** Clocks of two machines. */
const LEEWAY_SECONDS = 60;
const MAX_TOKEN = 16 << 10;
const HEADER = encode({ alg: 'HS256', typ: 'JWT' });

/** Our own tokens, which nobody but us reads: one algorithm, and a header that is one text. */
export class TokenSigner {
  readonly #secret: Buffer;

  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  sign(claims: TokenClaims): string {
    const now = Math.floor(Date.now() / 1000);
    const text = `${HEADER}.${encode({ ...claims, iat: now, nbf: now, jti: randomUUID() })}`;
    return `${text}.${this.#mac(text).toString('base64url')}`;
  }

  /** Undefined for what we did not sign. Nothing but the signature was checked. */
  verify(token: string): TokenClaims | undefined {
    const parts = splitToken(token);
    if (!parts || parts.header !== HEADER) return undefined;
    const mac = this.#mac(parts.signed);
    if (mac.length !== parts.signature.length || !timingSafeEqual(mac, parts.signature)) return undefined;
    return claimsOf(parts.payload);
  }

  #mac(text: string): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest();
  }
}

/** Tokens of a service elsewhere. The keys are those of the configuration, whatever a token brings with it. */
export class TokenVerifier {
  readonly #keys: readonly { readonly id: string | undefined; readonly key: KeyObject; readonly algorithm: string }[];

  /** `keys` is PEM, or a JSON Web Key Set. Throws `invalid-argument`. */
  constructor(keys: string) {
    this.#keys = readKeys(keys).map(({ id, key }) => ({ id, key, algorithm: algorithmOf(key) }));
  }

  /** Undefined for what none of the keys signed. */
  verify(token: string): TokenClaims | undefined {
    const parts = splitToken(token);
    const header = parts && (decode(parts.header) as { alg?: unknown; kid?: unknown } | undefined);
    if (!parts || !header) return undefined;
    const fitting = this.#keys.filter(
      ({ id, algorithm }) =>
        algorithm === header.alg && (header.kid === undefined || id === undefined || id === header.kid),
    );
    const signed = Buffer.from(parts.signed);
    const good = fitting.some(({ key, algorithm }) => {
      const hash = algorithm === 'EdDSA' ? null : 'sha256';
      return verifySignature(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, parts.signature);
    });
    return good ? claimsOf(parts.payload) : undefined;
  }
}

/** Whether the token is for us and for now. */
export function isCurrent(claims: TokenClaims, { issuer, service }: { issuer: string; service: string }): boolean {
  const now = Date.now() / 1000;
  return claims.iss === issuer && claims.aud === service && claims.exp + LEEWAY_SECONDS > now;
}

function splitToken(token: string): { header: string; payload: string; signed: string; signature: Buffer } | undefined {
  if (token.length > MAX_TOKEN) return undefined;
  const match = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(token);
  if (!match) return undefined;
  const [, header, payload, signature] = match;
  return {
    header: header!,
    payload: payload!,
    signed: `${header}.${payload}`,
    signature: Buffer.from(signature!, 'base64url'),
  };
}

function claimsOf(payload: string): TokenClaims | undefined {
  const claims = decode(payload);
  if (typeof claims !== 'object' || claims === null) return undefined;
  const { iss, sub = '', aud, exp, nbf, access = [], refresh } = claims as Record<string, unknown>;
  const audience: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
  if (typeof iss !== 'string' || typeof sub !== 'string' || typeof audience !== 'string') return undefined;
  if (typeof exp !== 'number' || !Array.isArray(access) || !access.every(isAccess)) return undefined;
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf - LEEWAY_SECONDS > Date.now() / 1000)) return undefined;
  return { iss, sub, aud: audience, exp, access, ...(typeof refresh === 'string' && { refresh }) };
}

function isAccess(value: unknown): value is TokenAccess {
  const { type, name, actions } = (value ?? {}) as Partial<TokenAccess>;
  return typeof type === 'string' && typeof name === 'string' && Array.isArray(actions);
}

function readKeys(text: string): { id: string | undefined; key: KeyObject }[] {
  try {
    if (text.trimStart().startsWith('{')) {
      const { keys } = JSON.parse(text) as { keys: (JsonWebKey & { kid?: string })[] };
      return keys.map((jwk) => ({ id: jwk.kid, key: createPublicKey({ key: jwk, format: 'jwk' }) }));
    }
    const blocks = text.match(/-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----/g);
    if (!blocks) throw new Error('it has no PEM blocks');
    return blocks.map((block) => ({ id: undefined, key: createPublicKey(block) }));
  } catch (error) {
    throw new EngineError('invalid-argument', `cannot read the token service's keys: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function algorithmOf(key: KeyObject): string {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return 'RS256';
    case 'ec':
      if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256';
      break;
    case 'ed25519':
      return 'EdDSA';
    default:
  }
  throw new EngineError(
    'invalid-argument',
    `keys of type ${key.asymmetricKeyType} are not taken: use RSA, P-256 or Ed25519`,
  );
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
