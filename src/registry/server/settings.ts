import { readFileSync } from 'node:fs';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { LimitSettings } from './client-limits.ts';
import { ACTIONS, type AccessRule } from './access-rules.ts';

/** What a registry is told at its start: the document of `--config`, and the same from flags. */
export interface RegistrySettings {
  /** `127.0.0.1:5000`, `[::1]:5000`, `:5000` */
  readonly addr: string;
  /** Domains by which clients know this registry, beside its address: an image named after one of them is served without it. */
  readonly names?: readonly string[];
  /** With `clientCa`, clients show a certificate of it, and are who that says. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  readonly auth?: AuthSettings;
  readonly limits?: LimitSettings;
  /** Where images are kept, instead of a directory. */
  readonly s3?: S3Settings;
  /** How clients reach this very server: of several behind one name, an upload stays with the one that it began at. */
  readonly uploadUrl?: string;
  /** Tags that are put once. */
  readonly immutableTags?: readonly ImmutableRule[];
  readonly quotas?: readonly QuotaRule[];
  /** What is deleted every hour; `gantry registry prune --dry-run` shows it. */
  readonly retention?: readonly RetentionRule[];
  readonly webhooks?: readonly WebhookSettings[];
  /** Where `/metrics` is served, for Prometheus. */
  readonly metricsAddr?: string;
  /** Registries that this one keeps copies of. */
  readonly upstreams?: readonly UpstreamSettings[];
  /** Bytes of the largest blob. */
  readonly maxBlobSize?: number;
  /** Manifests and blobs may be deleted by clients; default true. */
  readonly deletes?: boolean;
  /** Write an audit line for every request, not only for those that change something or are refused. */
  readonly auditReads?: boolean;
  /** Take pushes from other machines without any login, also into an engine's images. */
  readonly openPush?: boolean;
}

/** A bucket of an S3-compatible store. Who we are to it is in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY. */
export interface S3Settings {
  /** Amazon's own where nothing is said. */
  readonly endpoint?: string;
  readonly bucket: string;
  readonly prefix?: string;
  /** Default us-east-1. */
  readonly region?: string;
  /** Clients are sent to the store for blobs; default true. */
  readonly redirect?: boolean;
}

export interface ImmutableRule {
  readonly repositories: readonly string[];
  /** `v*`; all where nothing is said. */
  readonly tags?: readonly string[];
}

export interface QuotaRule {
  /** What they have together counts. */
  readonly repositories: readonly string[];
  readonly maxBytes: number;
}

/** A tag stays as long as one of the reasons holds; without any, all stay. */
export interface RetentionRule {
  readonly repositories: readonly string[];
  /** These always stay: `release-*`. */
  readonly keepTags?: readonly string[];
  /** The newest of a repository. */
  readonly keepLast?: number;
  /** Pushed within so many days. */
  readonly keepDays?: number;
  /** Pulled within so many days. */
  readonly keepPulledDays?: number;
  /** Manifests that no tag, index or subject leads to. */
  readonly deleteUntaggedAfterDays?: number;
}

export interface WebhookSettings {
  readonly url: string;
  /** Of `push`, `pull`, `delete`; default push and delete. */
  readonly events?: readonly string[];
  readonly repositories?: readonly string[];
  /** Signs each body: `X-Gantry-Signature: sha256=<HMAC>`. */
  readonly secretFile?: string;
  readonly timeoutSeconds?: number;
}

export interface UpstreamSettings {
  /** `docker.io`, `registry.lan:5000` */
  readonly registry: string;
  /** What its repositories are called by here; the registry's name where nothing is said, '' for all that is not another's. */
  readonly prefix?: string;
  readonly username?: string;
  readonly passwordFile?: string;
  /** A tag is looked at again after so long; default 300. */
  readonly ttlSeconds?: number;
  /** It may be spoken to without TLS, or with any certificate. */
  readonly insecure?: boolean;
  /** What is copied by the clock. */
  readonly sync?: readonly SyncSettings[];
}

export interface SyncSettings {
  /** As the upstream calls them. */
  readonly repositories: readonly string[];
  /** `1.*`; all where nothing is said. */
  readonly tags?: readonly string[];
  /** `linux/amd64`; all where nothing is said. */
  readonly platforms?: readonly string[];
  /** Default 24. */
  readonly everyHours?: number;
}

export interface AuthSettings {
  /** A file with bcrypt entries. */
  readonly htpasswd?: string;
  /** Pulls need no login. */
  readonly anonymousPull?: boolean;
  /** Who may do what where, instead of everything to who is logged in. */
  readonly rules?: readonly AccessRule[];
  /** For `@name` in rules. */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  /** Bearer tokens instead of a password with each request; `{}` is our own service. */
  readonly token?: TokenSettings;
}

export interface TokenSettings {
  readonly service?: string;
  readonly issuer?: string;
  /** A service elsewhere, and the file with its public keys: PEM, or a JSON Web Key Set. */
  readonly realm?: string;
  readonly keys?: string;
  /** Of our own: what several servers share, and what makes tokens outlive a restart. */
  readonly secretFile?: string;
  readonly lifeSeconds?: number;
}

export const DEFAULT_ADDRESS = '127.0.0.1:5000';

type Check = (value: unknown, name: string) => void;

const text: Check = (value, name) => {
  if (typeof value !== 'string' || value === '') throw wrong(name, 'must be a text');
};
const anyText: Check = (value, name) => {
  if (typeof value !== 'string') throw wrong(name, 'must be a text');
};
const positive: Check = (value, name) => {
  if (typeof value !== 'number' || !(value > 0) || value > 1e6) throw wrong(name, 'must be a number above 0');
};
const webUrl: Check = (value, name) => {
  if (typeof value !== 'string' || !/^https?:$/.test(URL.parse(value)?.protocol ?? '')) {
    throw wrong(name, 'must be an http or https URL');
  }
};
const truth: Check = (value, name) => {
  if (typeof value !== 'boolean') throw wrong(name, 'must be true or false');
};
const count: Check = (value, name) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrong(name, 'must be a whole number');
};
const oneOf =
  (values: readonly string[]): Check =>
  (value, name) => {
    if (typeof value !== 'string' || !values.includes(value)) throw wrong(name, `must be one of ${values.join(', ')}`);
  };
const map =
  (item: Check): Check =>
  (value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, 'must be an object');
    for (const [key, one] of Object.entries(value)) item(one, `${name}.${key}`);
  };
const list =
  (item: Check): Check =>
  (value, name) => {
    if (!Array.isArray(value)) throw wrong(name, 'must be a list');
    value.forEach((one, index) => item(one, `${name}[${index}]`));
  };
const record =
  (fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check =>
  (value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, 'must be an object');
    for (const [key, one] of Object.entries(value)) {
      const check = Object.hasOwn(fields, key) ? fields[key]! : undefined;
      if (!check)
        throw wrong(name === '' ? key : `${name}.${key}`, `is no setting; there are ${Object.keys(fields).join(', ')}`);
      check(one, name === '' ? key : `${name}.${key}`);
    }
    for (const key of required)
      if (!Object.hasOwn(value, key)) throw wrong(name === '' ? key : `${name}.${key}`, 'is missing');
  };

const settings = record({
  addr: text,
  names: list(text),
  tls: record({ cert: text, key: text, clientCa: text }, ['cert', 'key']),
  auth: record({
    htpasswd: text,
    anonymousPull: truth,
    rules: list(
      record({ repositories: list(text), users: list(text), actions: list(oneOf(ACTIONS)) }, [
        'repositories',
        'users',
        'actions',
      ]),
    ),
    groups: map(list(text)),
    token: record({ service: text, issuer: text, realm: text, keys: text, secretFile: text, lifeSeconds: count }),
  }),
  limits: record({
    connectionsPerClient: count,
    uploadsPerClient: count,
    minBytesPerSecond: count,
    stallSeconds: positive,
  }),
  s3: record({ endpoint: webUrl, bucket: text, prefix: text, region: text, redirect: truth }, ['bucket']),
  uploadUrl: webUrl,
  immutableTags: list(record({ repositories: list(text), tags: list(text) }, ['repositories'])),
  quotas: list(record({ repositories: list(text), maxBytes: count }, ['repositories', 'maxBytes'])),
  retention: list(
    record(
      {
        repositories: list(text),
        keepTags: list(text),
        keepLast: count,
        keepDays: positive,
        keepPulledDays: positive,
        deleteUntaggedAfterDays: positive,
      },
      ['repositories'],
    ),
  ),
  webhooks: list(
    record(
      {
        url: webUrl,
        events: list(oneOf(['push', 'pull', 'delete'])),
        repositories: list(text),
        secretFile: text,
        timeoutSeconds: positive,
      },
      ['url'],
    ),
  ),
  metricsAddr: text,
  upstreams: list(
    record(
      {
        registry: text,
        prefix: anyText,
        username: text,
        passwordFile: text,
        ttlSeconds: count,
        insecure: truth,
        sync: list(
          record({ repositories: list(text), tags: list(text), platforms: list(text), everyHours: positive }, [
            'repositories',
          ]),
        ),
      },
      ['registry'],
    ),
  ),
  maxBlobSize: count,
  deletes: truth,
  auditReads: truth,
  openPush: truth,
});

/** Reads `--config`. Throws `invalid-argument`, naming file and setting. */
export function readRegistrySettings(file: string): Partial<RegistrySettings> {
  try {
    const value = JSON.parse(readFileSync(file, 'utf8')) as unknown;
    settings(value, '');
    return value as Partial<RegistrySettings>;
  } catch (error) {
    throw new EngineError('invalid-argument', `registry configuration ${file}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** Settings that came as a document. Throws `invalid-argument`, naming the setting. */
export function checkRegistrySettings(value: unknown): RegistrySettings {
  settings(value, '');
  return { addr: DEFAULT_ADDRESS, ...(value as Partial<RegistrySettings>) };
}

/** `:5000`, `127.0.0.1:5000`, `[::1]:5000`. Throws `invalid-argument`. */
export function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (!match || port > 65535)
    throw new EngineError('invalid-argument', `registry address ${address} is no ADDRESS:PORT`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

function wrong(name: string, words: string): EngineError {
  return new EngineError('invalid-argument', `${name} ${words}`);
}
