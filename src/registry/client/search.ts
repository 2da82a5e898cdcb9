import { EngineError } from '../../base/errors.ts';
import { MAX_DOCUMENT_BYTES } from '../../content/children.ts';
import { DEFAULT_DOMAIN } from '../../oci/reference.ts';
import { answerError, readAll } from './answers.ts';
import type { RegistryCredentials } from './authorizer.ts';
import type { RegistryClient } from './registry-client.ts';

export interface SearchOptions {
  readonly limit: number;
  /** `stars`, `is-official`, `is-automated` */
  readonly filters?: ReadonlyMap<string, readonly string[]> | undefined;
  readonly credentials?: RegistryCredentials | undefined;
  readonly signal?: AbortSignal | undefined;
}

const FILTERS: readonly string[] = ['is-automated', 'is-official', 'stars'];
/** Docker Hub's search is not where its images are. */
const HUB_SEARCH = 'index.docker.io';

/** The old search API, of the registry that `term` begins with or of Docker Hub. Throws `unimplemented` where there is none. */
export async function searchRegistry(
  client: RegistryClient,
  term: string,
  options: SearchOptions,
): Promise<Record<string, unknown>[]> {
  const accept = filterOf(options.filters);
  const slash = term.indexOf('/');
  const first = term.slice(0, Math.max(slash, 0));
  const named = slash > 0 && (/[.:]/.test(first) || first === 'localhost');
  const domain = named && first !== DEFAULT_DOMAIN ? first : HUB_SEARCH;
  const words = named ? term.slice(slash + 1) : term;
  const session = await client.session(domain, { credentials: options.credentials, signal: options.signal });
  const query = new URLSearchParams({ q: words.replace(/^library\//, ''), n: String(options.limit || 25) });
  const target = `v1/search?${query.toString()}`;
  const response = await session.send({ method: 'GET', target, signal: options.signal });
  if (response.status === 404) {
    response.body.destroy();
    throw new EngineError('unimplemented', `the registry ${domain} has no search`);
  }
  if (response.status !== 200) throw await answerError(response);
  const { results } = JSON.parse((await readAll(response, MAX_DOCUMENT_BYTES)).toString('utf8')) as {
    results?: unknown;
  };
  const found = Array.isArray(results) ? (results as Record<string, unknown>[]) : [];
  return found.filter(accept).map((result) => ({
    star_count: Number(result['star_count'] ?? 0),
    is_official: result['is_official'] === true,
    name: textOf(result['name']),
    is_automated: false,
    description: textOf(result['description']),
  }));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function filterOf(filters: SearchOptions['filters']): (result: Record<string, unknown>) => boolean {
  for (const name of filters?.keys() ?? []) {
    if (!FILTERS.includes(name)) throw new EngineError('invalid-argument', `invalid filter '${name}'`);
  }
  const truth = (name: string): boolean | undefined => {
    const values = filters?.get(name) ?? [];
    const [value] = values;
    if (value === undefined) return undefined;
    if (values.length > 1 || !/^(?:1|0|true|false)$/i.test(value))
      throw new EngineError('invalid-argument', `invalid filter '${name}=[${values.join(' ')}]'`);
    return /^(?:1|true)$/i.test(value);
  };
  const least = filters?.get('stars') ?? [];
  const odd = least.find((value) => !/^[+-]?\d+$/.test(value));
  if (odd !== undefined) throw new EngineError('invalid-argument', `invalid filter 'stars=${odd}'`);
  const stars = Math.max(0, ...least.map(Number));
  const official = truth('is-official');
  // Nothing is marked as automated any more.
  const automated = truth('is-automated') === true;
  return (result) =>
    !automated &&
    Number(result['star_count'] ?? 0) >= stars &&
    (official === undefined || (result['is_official'] === true) === official);
}
