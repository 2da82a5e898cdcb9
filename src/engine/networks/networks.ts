import { checkFilters, type Filters, matchesLabels, NO_FILTERS } from '../../api/filters.ts';
import type { NameTraceDocument } from '../../api/gantry.ts';
import type {
  NetworkConnectRequest,
  NetworkContainer,
  NetworkCreateRequest,
  NetworkCreateResponse,
  NetworkDisconnectRequest,
  NetworkInspect,
} from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { Expression } from '../../base/expression.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { nowNanos, parseTime } from '../../base/time.ts';
import { parseCidr } from '../../network/address.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import type { NetworkService } from '../engine.ts';
import type { Trash } from '../trash/trash.ts';
import { withConfiguration } from './configuration-network.ts';
import type { ContainerNames } from './container-names.ts';
import type { LiveNetworks } from './live-networks.ts';
import type { NetworkRegistry } from './network-registry.ts';
import { isBeside } from './network-options.ts';
import { networkRecord } from './network-request.ts';
import type { ContainerDirectory } from './networking.ts';
import type { RunNetworks } from './run-networks.ts';

export interface NetworksOptions {
  readonly registry: NetworkRegistry;
  readonly runs: RunNetworks;
  readonly live: LiveNetworks;
  readonly names: ContainerNames;
  readonly containers: ContainerDirectory;
  /** That new networks get when they do not name them, by driver. */
  readonly options: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly publishEvent: (action: string, networkId: string, attributes: Record<string, string>) => void;
  /** Where removed ones go; undefined: nowhere. */
  readonly trash?: Pick<Trash, 'ticket' | 'put'> | undefined;
}

/** Networks as people name them. */
export class Networks implements NetworkService {
  readonly #registry: NetworkRegistry;
  readonly #runs: RunNetworks;
  readonly #live: LiveNetworks;
  readonly #names: ContainerNames;
  readonly #containers: ContainerDirectory;
  readonly #options: NetworksOptions['options'];
  readonly #publishEvent: NetworksOptions['publishEvent'];
  readonly #trash: NetworksOptions['trash'];
  readonly #locks = new KeyedMutex();

  constructor(options: NetworksOptions) {
    this.#registry = options.registry;
    this.#runs = options.runs;
    this.#live = options.live;
    this.#names = options.names;
    this.#containers = options.containers;
    this.#options = options.options;
    this.#publishEvent = options.publishEvent;
    this.#trash = options.trash;
  }

  async create(request: NetworkCreateRequest): Promise<NetworkCreateResponse> {
    const complete = withConfiguration(this.#withDefaults(request), (name) => this.#registry.find(name));
    const record = networkRecord(complete, {
      free: (family) => this.#registry.subnets.free(family),
      check: (subnet) => this.#registry.subnets.check(subnet),
    });
    if (this.#registry.store.byName(request.Name)) {
      throw new EngineError('conflict', `network with name ${request.Name} already exists`);
    }
    const routed = this.#registry.subnets.routedSubnet(record);
    this.#registry.checkInterface(record);
    await this.#registry.store.add(record);
    try {
      if (!record.configOnly) await this.#registry.ensure(record.id);
    } catch (error) {
      await this.#registry.withdraw(record).catch(() => undefined);
      await this.#registry.store.delete(record.id);
      throw error;
    }
    this.#publishEvent('create', record.id, { name: record.name, type: record.driver });
    const unused = (complete.IPAM?.Config ?? [])
      .map(({ Subnet }) => Subnet!)
      .filter((subnet) => !(subnet.includes(':') ? record.ipv6 : record.ipv4));
    const warnings = [
      routed && `the host has a route into ${routed}: containers of this network may not reach what is behind it`,
      ...unused.map((subnet) => `no container gets an address of ${subnet}: its family is off (--ipv6, --ipv4)`),
    ];
    return { Id: record.id, Warning: warnings.filter(Boolean).join('; ') };
  }

  /** What the engine's configuration says of new networks of that driver. */
  #withDefaults(request: NetworkCreateRequest): NetworkCreateRequest {
    if (request.ConfigOnly || request.ConfigFrom?.Network) return request;
    return { ...request, Options: { ...this.#options[request.Driver || 'bridge'], ...request.Options } };
  }

  async list(filters: Filters = NO_FILTERS): Promise<NetworkInspect[]> {
    checkFilters(filters, ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']);
    // said also when another filter leaves nothing to look at
    for (const value of filters.get('type') ?? []) checkType(value);
    for (const value of filters.get('dangling') ?? []) isTrue(value);
    const used = this.#runs.usedNetworks();
    return this.#registry.store
      .list()
      .filter((record) => matches(record, filters, used.has(record.id)))
      .map((record) => ({ ...this.#inspect(record), Containers: {} }));
  }

  async inspect(id: string, options: { verbose?: boolean; scope?: string } = {}): Promise<NetworkInspect> {
    const record = this.#registry.resolve(id);
    if (options.scope && options.scope !== 'local') throw new EngineError('not-found', `network ${id} not found`);
    return this.#inspect(record);
  }

  #inspect(record: NetworkRecord): NetworkInspect {
    const containers = this.#runs.on(record.id).map(({ container, endpoint }): [string, NetworkContainer] => [
      container.id,
      {
        Name: container.name,
        EndpointID: endpoint.EndpointID ?? '',
        MacAddress: endpoint.MacAddress ?? '',
        IPv4Address: withPrefix(endpoint.IPAddress, endpoint.IPPrefixLen),
        IPv6Address: withPrefix(endpoint.GlobalIPv6Address, endpoint.GlobalIPv6PrefixLen),
      },
    ]);
    return {
      Name: record.name,
      Id: record.id,
      Created: record.createdAt,
      Scope: 'local',
      Driver: record.driver,
      EnableIPv4: record.ipv4,
      EnableIPv6: record.ipv6,
      IPAM: {
        Driver: 'default',
        Options: record.ipamOptions === null ? null : { ...record.ipamOptions },
        Config: record.ipam.length === 0 ? null : record.ipam.map((config) => ({ ...config })),
      },
      Internal: record.internal,
      Attachable: record.attachable,
      Ingress: false,
      ConfigFrom: { Network: record.configFrom ?? '' },
      ConfigOnly: record.configOnly ?? false,
      Containers: Object.fromEntries(containers),
      Options: { ...record.options },
      Labels: { ...record.labels },
    };
  }

  async remove(id: string): Promise<void> {
    const ticket = this.#trash?.ticket();
    const record = this.#registry.resolve(id);
    await this.#locks.run(record.id, async () => {
      if (isPredefined(record)) {
        throw new EngineError('forbidden', `${record.name} is a pre-defined network and cannot be removed`);
      }
      if (this.#isConfiguration(record)) {
        const words = `configuration network ${JSON.stringify(record.name)} is in use`;
        throw new EngineError('forbidden', `error while removing network: ${words}`);
      }
      const active = this.#runs
        .on(record.id)
        .map(({ container, endpoint }) => `name:"${container.name}" id:"${endpoint.EndpointID!.slice(0, 12)}"`);
      if (active.length > 0 || this.#registry.inUse(record.id)) {
        throw new EngineError(
          'forbidden',
          `error while removing network: network ${record.name} has active endpoints (${active.join(', ')})`,
        );
      }
      await this.#registry.withdraw(record);
      const keep = ticket && this.#trash && (() => this.#trash?.put(ticket, { kind: 'network', record }));
      await this.#registry.store.delete(record.id, keep);
    });
    this.#publishEvent('destroy', record.id, { name: record.name, type: record.driver });
  }

  /** It was removed, and comes back as it was. `taken` is called when it is there. Throws `conflict`, `invalid-argument` (its subnet is another's by now). */
  async restore(record: NetworkRecord, taken: () => void): Promise<void> {
    await this.#locks.run(record.id, async () => {
      if (this.#registry.store.byName(record.name)) {
        throw new EngineError('conflict', `network with name ${record.name} already exists`);
      }
      const { subnets } = this.#registry;
      const ipam = record.ipam.map((config) => {
        const { subnet } = parseCidr(config.Subnet!);
        // one that nobody asked for may be another's by now
        if (!record.ownSubnet && subnets.isTaken(subnet)) return subnets.free(subnet.family);
        subnets.check(subnet);
        return config;
      });
      this.#registry.checkInterface(record);
      await this.#registry.store.add({ ...record, ipam });
      try {
        if (!record.configOnly && !isBeside(record)) await this.#registry.ensure(record.id);
      } catch (error) {
        await this.#registry.withdraw(record).catch(() => undefined);
        await this.#registry.store.delete(record.id);
        throw error;
      }
      taken();
    });
    this.#publishEvent('create', record.id, { name: record.name, type: record.driver });
  }

  has(id: string): boolean {
    return this.#registry.store.get(id) !== undefined;
  }

  /** Whether other networks are made of it. */
  #isConfiguration({ configOnly, name }: NetworkRecord): boolean {
    return configOnly === true && this.#registry.store.list().some((other) => other.configFrom === name);
  }

  async connect(id: string, request: NetworkConnectRequest): Promise<void> {
    await this.#live.connect(id, request.Container, request.EndpointConfig ?? {});
  }

  async disconnect(id: string, request: NetworkDisconnectRequest): Promise<void> {
    const record = this.#registry.resolve(id);
    await this.#live.disconnect(record, request.Container, request.Force ?? false);
  }

  async traceName(name: string, container?: string): Promise<NameTraceDocument> {
    if (!isName(name)) throw new EngineError('invalid-argument', `invalid name: ${JSON.stringify(name)}`);
    const id = container === undefined ? undefined : this.#containers.find(container).id;
    const { steps, addresses } = await this.#names.trace(name, id);
    return {
      Name: name,
      Steps: steps.map(({ question, source, result, milliseconds }) => ({
        Question: question,
        Source: source,
        Result: result,
        Milliseconds: Math.round(milliseconds * 1000) / 1000,
      })),
      Addresses: [...addresses],
    };
  }

  async prune(filters: Filters): Promise<{ NetworksDeleted: string[] | null }> {
    checkFilters(filters, ['label', 'label!', 'until']);
    const until = untilNanos(filters);
    const used = this.#runs.usedNetworks();
    const deleted: string[] = [];
    for (const record of this.#registry.store.list()) {
      if (isPredefined(record) || record.configOnly || used.has(record.id) || !matchesLabels(filters, record.labels))
        continue;
      const unwanted = filters.get('label!') ?? [];
      if (unwanted.length > 0 && matchesLabels(filters, record.labels, 'label!')) continue;
      if (until !== undefined && (parseTime(record.createdAt) ?? 0n) >= until) continue;
      await this.remove(record.id);
      deleted.push(record.name);
    }
    this.#publishEvent('prune', '', { reclaimed: '0' });
    return { NetworksDeleted: deleted.length > 0 ? deleted : null };
  }
}

/** RFC 1035, 2.3.4; any bytes but those that could not come from a resolver. */
function isName(name: string): boolean {
  return name.length <= 254 && /^[^.\s]{1,63}(\.[^.\s]{1,63})*\.?$/.test(name);
}

function isPredefined(record: NetworkRecord): boolean {
  return record.name === 'bridge' || record.name === 'host' || record.name === 'none';
}

function matches(record: NetworkRecord, filters: Filters, used: boolean): boolean {
  const any = (key: string, test: (value: string) => boolean): boolean => {
    const values = filters.get(key);
    return !values || values.length === 0 || values.some(test);
  };
  return (
    any('driver', (value) => value === record.driver) &&
    any('id', (value) => record.id.includes(value)) &&
    any('name', (value) => matchesPattern(record.name, value)) &&
    any('scope', (value) => value === 'local') &&
    any('type', (value) => (value === 'builtin') === isPredefined(record)) &&
    any('dangling', (value) => isTrue(value) === (!used && !isPredefined(record))) &&
    matchesLabels(filters, record.labels)
  );
}

function checkType(value: string): void {
  if (value === 'builtin' || value === 'custom') return;
  throw new EngineError('invalid-argument', `invalid filter: 'type'='${value}'`);
}

function isTrue(value: string): boolean {
  if (['true', '1'].includes(value)) return true;
  if (['false', '0'].includes(value)) return false;
  throw new EngineError(
    'invalid-argument',
    `invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`,
  );
}

/** Docker reads the value as a regular expression; one that is none is looked for as it stands. */
function matchesPattern(name: string, pattern: string): boolean {
  if (name.includes(pattern)) return true;
  try {
    return new Expression(pattern).test(name);
  } catch {
    return false;
  }
}

/** A time, seconds since the epoch, or a duration back from now (`10m`, `1h30m`). */
function untilNanos(filters: Filters): bigint | undefined {
  const [value, ...more] = filters.get('until') ?? [];
  if (value === undefined) return undefined;
  if (more.length > 0) throw new EngineError('invalid-argument', 'more than one until filter specified');
  const time = parseTime(value);
  if (time !== undefined) return time;
  if (/^\d+$/.test(value)) return BigInt(value) * 1_000_000_000n;
  const units: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };
  if (!/^(\d+[hms])+$/.test(value))
    throw new EngineError('invalid-argument', `failed to parse value as time or duration: "${value}"`);
  const seconds = [...value.matchAll(/(\d+)([hms])/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit!]!, 0);
  return nowNanos() - BigInt(seconds) * 1_000_000_000n;
}

function withPrefix(address: string | undefined, prefix: number | undefined): string {
  return address ? `${address}/${prefix}` : '';
}
