import { newId } from '../../base/ids.ts';
import { now } from '../../base/time.ts';
import { randomMac } from '../../network/mac.ts';
import type { NetworkRecord, NetworkStore } from '../../state/networks.ts';
import { OPTION } from './network-options.ts';
import { ipamOfGateway, type Subnets } from './subnets.ts';

export interface DefaultBridgeOptions {
  /** Interface of the default network; nobody else's. */
  readonly bridge: string;
  /** The host's address on it with its prefix (`--bip`); otherwise the first free subnet is taken. */
  readonly bridgeAddress: string | undefined;
  readonly mtu: number;
  /** Containers on the default network may talk to each other. */
  readonly communication: boolean;
  /** Where ports are published that name no address. */
  readonly publishAddress: string;
}

/** Sees that `bridge`, `host` and `none` are there, as the engine's configuration wants them. */
export function addDefaultNetworks(store: NetworkStore, subnets: Subnets, options: DefaultBridgeOptions): void {
  const known = store.byName('bridge');
  if (!known) {
    const ipam = [options.bridgeAddress === undefined ? subnets.free(4) : ipamOfGateway(options.bridgeAddress)];
    store.insert({ ...bridgeAsConfigured(options), id: newId(), createdAt: now(), mac: randomMac(), ipam });
  } else {
    const ipam = options.bridgeAddress === undefined ? known.ipam : [ipamOfGateway(options.bridgeAddress)];
    const wanted: NetworkRecord = { ...known, ...bridgeAsConfigured(options), ipam };
    // a write waits for the disk: only when the configuration is another than last time
    if (JSON.stringify(wanted) !== JSON.stringify(known)) store.update(wanted);
  }
  for (const [name, driver] of [
    ['host', 'host'],
    ['none', 'null'],
  ] as const) {
    if (store.byName(name)) continue;
    store.insert({
      ...BARE,
      id: newId(),
      name,
      createdAt: now(),
      driver,
      options: {},
      interface: '',
      mac: '',
      ipam: [],
    });
  }
}

function bridgeAsConfigured(options: DefaultBridgeOptions): Omit<NetworkRecord, 'id' | 'createdAt' | 'mac' | 'ipam'> {
  return {
    ...BARE,
    name: 'bridge',
    driver: 'bridge',
    options: {
      [OPTION.defaultBridge]: 'true',
      [OPTION.communication]: String(options.communication),
      [OPTION.masquerade]: 'true',
      [OPTION.hostBinding]: options.publishAddress,
      [OPTION.name]: options.bridge,
      [OPTION.mtu]: String(options.mtu),
    },
    interface: options.bridge,
  };
}

const BARE = {
  ipv4: true,
  ipv6: false,
  internal: false,
  attachable: false,
  ipamOptions: null,
  ownSubnet: false,
  labels: {},
} as const;
