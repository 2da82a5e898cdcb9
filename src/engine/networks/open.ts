import { createHash } from 'node:crypto';
import { applyNftables } from '../../linux/nft.ts';
import { FirewallTable } from '../../network/firewall-table.ts';
import { DEFAULT_POOLS, type SubnetPool } from '../../network/ipam.ts';
import { PortAllocator } from '../../network/port-allocator.ts';
import type { Database } from '../../state/database.ts';
import { NetworkStore } from '../../state/networks.ts';
import type { NetworkService } from '../engine.ts';
import { ContainerNetworking } from './container-networking.ts';
import { NetworkRegistry } from './network-registry.ts';
import { uniqueLocalPool } from './network-request.ts';
import type { ContainerDirectory, Networking } from './networking.ts';
import { Networks } from './networks.ts';

export interface OpenNetworksOptions {
  readonly db: Database;
  /** Absolute. Names the engine's table and default bridge: two engines on a host never share them. */
  readonly dataRoot: string;
  readonly containers: ContainerDirectory;
  readonly publishEvent: (action: string, networkId: string, attributes: Record<string, string>) => void;
  /** A sentence that the operator should read. */
  readonly notify: (sentence: string) => void;
  /** `--bridge`: the default network's interface. */
  readonly bridge?: string | undefined;
  /** `--bip`: the host's address on it, with prefix. */
  readonly bridgeAddress?: string | undefined;
  readonly mtu?: number | undefined;
  /** Where ports are published when no address is given; empty (the default) is everywhere. */
  readonly publishAddress?: string | undefined;
  /** `default-address-pools`. */
  readonly pools?: readonly SubnetPool[] | undefined;
}

export interface OpenedNetworks {
  readonly networks: NetworkService;
  readonly networking: Networking;
  /** Running containers keep their networks. When there are none, the host is left without a trace of this engine. */
  close(): Promise<void>;
  /** Lets go of this process's sockets and nothing else, as its death would. */
  abandon(): void;
}

/** The engine's networks. Nothing is changed on the host until a container or a person needs it. */
export function openNetworks(options: OpenNetworksOptions): OpenedNetworks {
  const hash = createHash('sha256').update(options.dataRoot).digest('hex');
  const firewall = new FirewallTable(`gantry_${hash.slice(0, 8)}`, (text) => applyNftables(text));
  const registry = new NetworkRegistry(new NetworkStore(options.db), firewall, {
    bridge: options.bridge ?? `gantry-${hash.slice(0, 6)}`,
    bridgeAddress: options.bridgeAddress,
    pools: [...(options.pools ?? DEFAULT_POOLS), uniqueLocalPool(options.dataRoot)],
    mtu: options.mtu ?? 1500,
    notify: options.notify,
  });
  const ports = new PortAllocator({
    defaultAddress: options.publishAddress ?? '',
    nameOf: (id) => options.containers.find(id).name,
  });
  const { containers, publishEvent, notify } = options;
  const networking = new ContainerNetworking({ registry, firewall, ports, containers, publishEvent, notify });
  const abandon = (): void => {
    networking.close();
    ports.close();
    registry.close();
  };
  return {
    networks: new Networks({ registry, networking, publishEvent }),
    networking,
    close: async () => {
      if (networking.usedNetworks().size === 0) await registry.withdrawAll();
      abandon();
    },
    abandon,
  };
}
