import { performance } from 'node:perf_hooks';
import type { ResolvConf } from '../container-files.ts';
import { addressText } from './answer-text.ts';
import { addressesOf, makeQuery, parseQuery, TYPE } from './message.ts';
import { type Client, ownAnswers } from './name-server.ts';
import type { NameTable } from './name-table.ts';
import type { Upstream } from './upstream.ts';

/** One question on the way to an answer. */
export interface TraceStep {
  /** `web A` */
  readonly question: string;
  /** Who was asked: a network of the container by name, `links`, or a server by address. */
  readonly source: string;
  /** Addresses, or why there is none. */
  readonly result: string;
  readonly milliseconds: number;
}

export interface Trace {
  readonly steps: readonly TraceStep[];
  readonly addresses: readonly string[];
}

/**
 * What a resolver with `conf` finds for `name`, one question at a time, as `getaddrinfo` of a C library asks. `networkName` gives
 * names for the client's networks.
 */
export async function traceName(options: {
  readonly name: string;
  readonly conf: Pick<ResolvConf, 'search' | 'options'>;
  readonly client: Client;
  readonly table: NameTable;
  readonly upstream: Upstream;
  readonly networkName: (id: string) => string;
}): Promise<Trace> {
  const steps: TraceStep[] = [];
  for (const candidate of candidates(options.name, options.conf)) {
    const found: string[] = [];
    for (const type of [TYPE.A, TYPE.AAAA]) found.push(...(await traceQuestion(options, candidate, type, steps)));
    if (found.length > 0) return { steps, addresses: found };
  }
  return { steps, addresses: [] };
}

/** resolv.conf(5): the names to try, in their order. */
export function candidates(name: string, conf: Pick<ResolvConf, 'search' | 'options'>): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const option = conf.options.findLast((one) => one.startsWith('ndots:'));
  const ndots = Math.min(15, option === undefined ? 1 : Number(option.slice('ndots:'.length)) || 0);
  const searched = conf.search.map((domain) => `${name}.${domain.replace(/^\.|\.$/g, '')}`);
  return name.split('.').length - 1 >= ndots ? [name, ...searched] : [...searched, name];
}

async function traceQuestion(
  options: Parameters<typeof traceName>[0],
  name: string,
  type: typeof TYPE.A | typeof TYPE.AAAA,
  steps: TraceStep[],
): Promise<string[]> {
  const { client, table, upstream } = options;
  const question = `${name} ${type === TYPE.A ? 'A' : 'AAAA'}`;
  let began = performance.now();
  const note = (source: string, result: string): void => {
    steps.push({ question, source, result, milliseconds: performance.now() - began });
    began = performance.now();
  };
  const linked = client.links.get(name.toLowerCase());
  if (linked !== undefined) note('links', `stands for ${linked}`);
  for (const id of client.networks) {
    const known = table.find([id], linked ?? name);
    note(options.networkName(id), known.length === 0 ? 'no such name' : known.map(describeEndpoint).join(', '));
  }
  const message = makeQuery(1, name, type);
  const query = parseQuery(message);
  if (!query) {
    note('resolver', 'not a name that DNS can carry');
    return [];
  }
  const own = ownAnswers(table, client, query);
  if (own) return own.map(({ data }) => addressText(data));
  const servers = client.upstream();
  if (servers.length === 0) {
    note('upstream', 'nobody to ask: no network of the container has a way out, or there is no name server');
    return [];
  }
  const answer = await upstream.ask(message, query, servers, 'udp', note);
  if (!answer) {
    note('upstream', 'no answer in time');
    return [];
  }
  return addressesOf(answer, query).map(addressText);
}

function describeEndpoint(endpoint: { readonly ipv4: string | undefined; readonly ipv6: string | undefined }): string {
  return [endpoint.ipv4, endpoint.ipv6].filter((address) => address !== undefined).join(' ');
}
