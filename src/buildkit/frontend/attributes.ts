import { EngineError } from '../../base/errors.ts';
import type { BuildRequest } from '../../engine/engine.ts';

/** What `frontend=dockerfile.v0` is asked for, beside where its files are. */
export interface FrontendOptions {
  /** Of the engine's build. */
  readonly request: BuildRequest;
  /** Name of the Dockerfile in its directory. */
  readonly filename: string;
  /** Names of the client's directories. */
  readonly contextName: string;
  readonly dockerfileName: string;
  /** The Dockerfile is the client's, wherever the context is. */
  readonly localDockerfile: boolean;
  /** Address of the context, when it is none of the client's directories. */
  readonly remote: string | undefined;
  /** Directory below the context that is the context. */
  readonly subdirectory: string | undefined;
  /** `docker-image://…`, `local:…`, `input:…`, by the names that the Dockerfile uses. */
  readonly contexts: Readonly<Record<string, string>>;
  /** Results of other builds, with their configurations: of contexts that are inputs. */
  readonly inputMetadata: Readonly<Record<string, string>>;
  readonly platforms: readonly string[];
  readonly multiPlatform: boolean;
  /** `frontend.lint`, `frontend.outline`, `frontend.targets`: a question in place of a build. */
  readonly question: string | undefined;
  readonly attestations: Readonly<Record<string, string>>;
  readonly cacheImports: readonly { readonly type: string; readonly attributes: Readonly<Record<string, string>> }[];
  /** Attributes that mean nothing here. */
  readonly unknown: readonly string[];
}

/** For clients and for provenance; nothing of the build depends on them. */
const IRRELEVANT = /^(vcs:|sharedkey:|local-sessionid:|frontend\.caps$|cmdline$|source$|build-arg:BUILDKIT_SYNTAX$)/;

/** Reads the attributes of a build. Throws `invalid-argument`. */
export function readAttributes(attributes: Readonly<Record<string, string>>): FrontendOptions {
  const rest = new Map(Object.entries(attributes));
  const take = (name: string): string | undefined => {
    const value = rest.get(name);
    rest.delete(name);
    return value;
  };
  const takeAll = (prefix: string): Record<string, string> => {
    const found: Record<string, string> = {};
    for (const [name, value] of rest) {
      if (!name.startsWith(prefix)) continue;
      found[name.slice(prefix.length)] = value;
      rest.delete(name);
    }
    return found;
  };
  for (const name of rest.keys()) if (IRRELEVANT.test(name)) rest.delete(name);
  const contextName = take('contextkey') ?? 'context';
  const ownDockerfile = take('dockerfilekey');
  const remote = take(contextName);
  const buildArgs = takeAll('build-arg:');
  const platforms = (take('platform') ?? '').split(',').filter((text) => text !== '');
  const multi = buildArgs['BUILDKIT_MULTI_PLATFORM'] ?? take('multi-platform');
  const multiPlatform = multi === undefined || multi === '' ? platforms.length > 1 : truth('multi-platform', multi);
  if (!multiPlatform && platforms.length > 1) {
    throw new EngineError('invalid-argument', 'conflicting config: returning multiple target platforms is not allowed');
  }
  const noCache = take('no-cache');
  const limits = readLimits(take);
  const shmSize = take('shm-size');
  const resolveMode = take('image-resolve-mode') ?? 'default';
  if (!['default', 'pull', 'local'].includes(resolveMode))
    throw new EngineError('invalid-argument', `invalid image-resolve-mode: ${resolveMode}`);
  const target = take('target');
  const network = readNetwork(take('force-network-mode'));
  const request: BuildRequest = {
    buildArgs,
    labels: takeAll('label:'),
    extraHosts: csv(take('add-hosts')).map(readHost),
    ulimits: csv(take('ulimit')).map(readUlimit),
    pull: resolveMode === 'pull',
    ...(target !== undefined && { target }),
    ...(noCache === '' && { noCache: true }),
    ...(noCache && { noCacheFilter: noCache.split(',') }),
    ...(network !== undefined && { networkMode: network }),
    ...(shmSize && { shmSize: integer('shm-size', shmSize) }),
    ...(limits && { limits }),
  };
  return {
    request,
    filename: take('filename') ?? 'Dockerfile',
    contextName,
    dockerfileName: ownDockerfile ?? 'dockerfile',
    localDockerfile: ownDockerfile !== undefined || remote === undefined,
    remote,
    subdirectory: take('contextsubdir'),
    contexts: takeAll('context:'),
    inputMetadata: takeAll('input-metadata:'),
    platforms,
    multiPlatform,
    question: take('requestid'),
    attestations: takeAll('attest:'),
    cacheImports: [...readCacheImports(take('cache-imports')), ...oldCacheImports(take('cache-from'))],
    unknown: [...rest.keys()],
  };
}

function readNetwork(mode: string | undefined): string | undefined {
  if (mode === undefined || mode === '' || mode === 'sandbox') return undefined;
  if (mode === 'none' || mode === 'host') return mode;
  throw new EngineError('invalid-argument', `invalid netmode ${mode}`);
}

function readHost(field: string): string {
  const [name = '', address = ''] = field.toLowerCase().split('=', 2);
  if (name === '' || address === '') throw new EngineError('invalid-argument', `invalid key-value pair ${field}`);
  return `${name}:${address}`;
}

function readUlimit(field: string): { Name: string; Soft: number; Hard: number } {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(field);
  if (!match) throw new EngineError('invalid-argument', `failed to parse ulimit: invalid ulimit argument: ${field}`);
  return { Name: match[1]!, Soft: Number(match[2]), Hard: Number(match[3] ?? match[2]) };
}

function readLimits(take: (name: string) => string | undefined): BuildRequest['limits'] | undefined {
  const limits: Record<string, string | number> = {};
  const numbers = {
    memory: 'memory',
    memswap: 'memorySwap',
    cpushares: 'cpuShares',
    cpuperiod: 'cpuPeriod',
    cpuquota: 'cpuQuota',
  };
  for (const [name, field] of Object.entries(numbers)) {
    const value = take(name);
    if (value) limits[field] = integer(name, value);
  }
  for (const [name, field] of Object.entries({
    cpusetcpus: 'cpusetCpus',
    cpusetmems: 'cpusetMems',
    'cgroup-parent': 'cgroupParent',
  })) {
    const value = take(name);
    if (value) limits[field] = value;
  }
  return Object.keys(limits).length === 0 ? undefined : limits;
}

function readCacheImports(text: string | undefined): FrontendOptions['cacheImports'] {
  if (!text) return [];
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    throw new EngineError('invalid-argument', `failed to unmarshal cache-imports (${JSON.stringify(text)})`, {
      cause: error,
    });
  }
  if (!Array.isArray(entries)) throw new EngineError('invalid-argument', 'cache-imports is no list');
  return (entries as { Type?: unknown; Attrs?: unknown }[]).map((entry) => ({
    type: typeof entry?.Type === 'string' ? entry.Type : '',
    attributes: Object.fromEntries(
      Object.entries((entry?.Attrs ?? {}) as Record<string, unknown>).map(([key, value]) => [key, String(value)]),
    ),
  }));
}

function oldCacheImports(text: string | undefined): FrontendOptions['cacheImports'] {
  return (text ?? '')
    .split(',')
    .filter((ref) => ref !== '')
    .map((ref) => ({ type: 'registry', attributes: { ref } }));
}

function integer(name: string, text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new EngineError('invalid-argument', `invalid ${name} value: ${text}`);
  return Number(text);
}

function truth(name: string, text: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new EngineError('invalid-argument', `invalid boolean value for ${name}: ${text}`);
}

/** Fields of one line of CSV: quotes keep commas. */
function csv(text: string | undefined): string[] {
  if (!text) return [];
  return [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((match) =>
    (match[1]?.replaceAll('""', '"') ?? match[2] ?? '').trim(),
  );
}
