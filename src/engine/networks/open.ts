import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errorMessage } from '../../base/errors.ts';
import { applyNftables, hasNftable, listNftables } from '../../linux/nft.ts';
import { removeTable } from '../../network/firewall.ts';
import { FirewallTable } from '../../network/firewall-table.ts';
import { forwardAdvice, forwardDrops } from '../../network/host-firewall.ts';

import { findOrphans, findStrayPorts } from '../../network/orphans.ts';
import { PortAllocator } from '../../network/port-allocator.ts';
import type { Database } from '../../state/database.ts';
import { NetworkStore } from '../../state/networks.ts';
import type { EngineConfig } from '../config.ts';
import type { FileDefaults } from './container-files.ts';
import { ContainerNames } from './container-names.ts';
import { ContainerNetworking } from './container-networking.ts';
import { LiveNetworks } from './live-networks.ts';
import { gatewayMode, publishAddress, trustedInterfaces } from './network-options.ts';
import { NetworkRegistry } from './network-registry.ts';
import { uniqueLocalPool } from './network-request.ts';
import { subnetPools } from './subnets.ts';
import type { ContainerDirectory, Networking } from './networking.ts';
import { Networks, type NetworksOptions } from './networks.ts';
import { PublishedPorts } from './published-ports.ts';
import { RunNetworks } from './run-networks.ts';

export interface OpenNetworksOptions {
  readonly db: Database;
  /** The data root names the engine's table and default bridge: two engines on a host never share them. */
  readonly config: Pick<
    EngineConfig,
    | 'dataRoot'
    | 'bridge'
    | 'addressPools'
    | 'publishAddress'
    | 'hostSockets'
    | 'respectHostFirewall'
    | 'allowDirectRouting'
    | 'networkOptions'
    | 'dns'
    | 'dnsOptions'
    | 'dnsSearch'
    | 'report'
  >;
  readonly containers: ContainerDirectory;
  readonly publishEvent: (action: string, networkId: string, attributes: Record<string, string>) => void;
  readonly trash?: NetworksOptions['trash'];
}

export interface OpenedNetworks {
  readonly networks: Networks;
  readonly networking: Networking;
  /** Running containers keep their networks. When there are none, the host is left without a trace of this engine. */
  close(): Promise<void>;
  /** Lets go of this process's sockets and nothing else, as its death would. */
  abandon(): void;
}

/** The engine's networks. Nothing is changed on the host until a container or a person needs it. */
export function openNetworks(options: OpenNetworksOptions): OpenedNetworks {
  const { config, containers, publishEvent } = options;
  const { dataRoot, bridge, report: notify } = config;
  const hash = hashOf(dataRoot);
  const firewall = new FirewallTable(tableName(dataRoot), (text) => applyNftables(text), {
    relayed: config.respectHostFirewall,
  });
  const registry = new NetworkRegistry(new NetworkStore(options.db), firewall, {
    bridge: bridge.name ?? (dataRoot === DEFAULT_ROOT ? 'gantry0' : `gantry-${hash.slice(0, 6)}`),
    dataRoot,
    bridgeAddress: bridge.cidr,
    pools: [...subnetPools(config.addressPools ?? []), uniqueLocalPool(dataRoot)],
    mtu: bridge.mtu ?? 1500,
    communication: bridge.icc ?? true,
    masquerade: bridge.masquerade ?? true,
    ipv6: bridge.ipv6 ?? false,
    range: bridge.range,
    subnet6: bridge.subnet6,
    trustAll: config.allowDirectRouting,
    publishAddress: config.publishAddress,
    lookAtHost: (name, ownTable) => void reportHostFirewall(name, ownTable, notify),
    notify,
  });
  const allocator = new PortAllocator({
    relayed: config.respectHostFirewall,
    host: config.hostSockets,
    isSealed: (client) => registry.isInternal(client),
    nameOf: (id) => containers.find(id).name,
  });
  const dns = { servers: config.dns, search: config.dnsSearch, options: config.dnsOptions };
  const fileDefaults = (): FileDefaults => ({
    hostGateway: registry.resolve('bridge').ipam[0]?.Gateway ?? '',
    dns,
  });
  const runs = new RunNetworks(registry, publishEvent);
  const names = new ContainerNames(config.dns, notify, config.hostSockets);
  const ports = new PublishedPorts({
    ports: allocator,
    firewall,
    endpoints: runs.endpoints,
    wayIn: (name) => {
      const network = registry.resolve(name);
      return {
        publishAddress: publishAddress(network, config.publishAddress),
        modes: { 4: gatewayMode(network, 4), 6: gatewayMode(network, 6) },
        trusted: config.allowDirectRouting || trustedInterfaces(network).length > 0,
      };
    },
    notify,
  });
  const parts = { registry, containers, runs, names, ports, fileDefaults };
  const watch = setInterval(() => void reassert(firewall, notify), WATCH).unref();
  const abandon = (): void => {
    clearInterval(watch);
    names.close();
    allocator.close();
    registry.close();
  };
  return {
    networks: new Networks({
      ...parts,
      live: new LiveNetworks(parts),
      options: config.networkOptions,
      publishEvent,
      trash: options.trash,
    }),
    networking: new ContainerNetworking({
      ...parts,
      firewall,
      removeOrphans: () => removeOrphans(registry, runs, containers, dataRoot, notify),
      notify,
    }),
    close: async () => {
      if (runs.usedNetworks().size === 0) await registry.withdrawAll();
      await firewall.settled();
      abandon();
    },
    abandon,
  };
}

function hashOf(dataRoot: string): string {
  return createHash('sha256').update(dataRoot).digest('hex');
}

function tableName(dataRoot: string): string {
  return `gantry_${hashOf(dataRoot).slice(0, 8)}`;
}

/** Never rejects. */
async function removeOrphans(
  registry: NetworkRegistry,
  runs: RunNetworks,
  containers: ContainerDirectory,
  ownRoot: string,
  notify: (sentence: string) => void,
): Promise<void> {
  try {
    const own = { dataRoot: ownRoot, bridges: new Set(registry.store.list().map((record) => record.interface)) };
    for (const { dataRoot, bridges } of findOrphans(registry.links, own)) {
      if (dataRoot !== ownRoot) await applyNftables(removeTable(tableName(dataRoot)));
      for (const bridge of bridges) registry.links.removeLink(bridge);
      notify(`removed what an engine left whose data root ${dataRoot} is gone: ${bridges.join(', ')} and its rules`);
    }
    const strays = findStrayPorts(registry.links, ownRoot, runs.hostLinks());
    for (const port of strays) registry.links.removeLink(port);
    // a way out may have gone with one
    if (strays.length > 0) await runs.setAllRoutes((id) => containers.find(id).pid);
  } catch (error) {
    notify(`what dead engines left on this host's network could not be removed: ${errorMessage(error)}`);
  }
}

/** The table is looked for so often (milliseconds). */
const WATCH = 2000;
const DEFAULT_ROOT = '/var/lib/gantry';

/** Without its table, containers are open to the neighbours and cut off from the world. Never rejects. */
async function reassert(firewall: FirewallTable, notify: (sentence: string) => void): Promise<void> {
  try {
    if (await firewall.reassert(hasNftable)) notify(`table inet ${firewall.name} was gone, and has been made again`);
  } catch (error) {
    notify(`table inet ${firewall.name} is gone and cannot be made again: ${errorMessage(error)}`);
  }
}

/** Never rejects: what cannot be read is not reported. */
async function reportHostFirewall(bridge: string, ownTable: string, notify: (sentence: string) => void): Promise<void> {
  const rules = await listNftables().catch(() => '');
  const drops = forwardDrops(rules, bridge, ownTable);
  if (drops.length > 0) notify(forwardAdvice(drops, bridge, filtersBridged()));
}

function filtersBridged(): boolean {
  try {
    return readFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', 'latin1').trim() === '1';
  } catch {
    return false;
  }
}
