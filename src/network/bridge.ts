import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { hostError } from '../linux/libc.ts';
import {
  addressOn,
  addVethAside,
  type AddressBytes,
  aliasOf,
  changeLinks,
  findLink,
  type Link,
  linkUp,
  newBridge,
  portFlags,
  removeLinkAside,
  routeBy,
  type RouteNetlink,
} from '../linux/netlink-route.ts';
import { NetworkNamespace } from '../linux/network-namespace.ts';

const LOOPBACK = 1;
const SYSCTLS = '/proc/sys/net';

export interface BridgeSettings {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** Says whose it is. */
  readonly alias: string | undefined;
  /** The host's addresses on it: the containers' gateways. */
  readonly addresses: readonly AddressBytes[];
}

/** What a container gets on a bridge. */
export interface EndpointLink {
  /** The host's end, a port of the bridge. */
  readonly host: string;
  readonly guest: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly AddressBytes[];
  /** Its port exchanges nothing with other isolated ones. */
  readonly isolated: boolean;
}

/**
 * Makes the bridge as described, whatever of it is `present` already, and gives its index. One at a time for a name. Throws
 * `conflict` when another kind of link has it.
 */
export async function ensureBridge(settings: BridgeSettings, present: Link | undefined): Promise<number> {
  if (present && present.kind !== 'bridge') {
    throw new EngineError('conflict', `existing interface ${settings.name} is not a bridge: choose another name`);
  }
  // one that somebody else made gets what it lacks
  if (present?.up && present.mac === settings.mac) return present.index;
  try {
    if (!present) await changeLinks([newBridge(settings.name, settings)]);
    const { index } = present ?? (await findLink(settings.name))!;
    await setHostSysctls(settings);
    await changeLinks([
      // the kernel takes an alias of a link that is there, not of one that is being made
      ...(present || settings.alias === undefined ? [] : [aliasOf(index, settings.alias)]),
      ...settings.addresses.map((address) => addressOn(index, address)),
      linkUp(index),
    ]);
    return index;
  } catch (error) {
    throw hostError(error, `cannot make the bridge ${settings.name}`);
  }
}

async function setHostSysctls(settings: BridgeSettings): Promise<void> {
  const ipv6 = settings.addresses.some((address) => address.bytes.length === 16);
  using host = NetworkNamespace.current();
  await host.setSysctlsAside({
    // 127.0.0.1 can be published: the rules keep containers from using it the other way
    [`ipv4/conf/${settings.name}/route_localnet`]: '1',
    [`ipv6/conf/${settings.name}/disable_ipv6`]: ipv6 ? '0' : '1',
    [`ipv6/conf/${settings.name}/accept_ra`]: '0',
    // nobody else is on it: its addresses are good at once, not after a second of waiting for objections
    [`ipv6/conf/${settings.name}/accept_dad`]: '0',
  });
}

/** A new namespace with its loopback up. */
export async function newSandbox(namespace = NetworkNamespace.create()): Promise<NetworkNamespace> {
  try {
    await changeLinks([linkUp(LOOPBACK)], namespace);
  } catch (error) {
    namespace.close();
    throw error;
  }
  return namespace;
}

/** Puts a container on the bridge: a veth pair, its addresses, up. On failure nothing is left. */
export async function addEndpoint(bridge: number, namespace: NetworkNamespace, endpoint: EndpointLink): Promise<void> {
  const { host, guest, mac, mtu } = endpoint;
  const index = await addVethAside({ name: host, master: bridge, mtu, peer: { name: guest, mac, namespace } });
  try {
    // hairpin: a container may reach itself through its published port
    await changeLinks([portFlags(index, { hairpin: true, isolated: endpoint.isolated })]);
    await setGuestAddresses(namespace, endpoint);
  } catch (error) {
    await removeLinkAside({ index, name: host });
    throw error;
  }
}

/** Puts a container beside a link of the host, on the same wire. On failure nothing is left. */
export async function addMacvlan(
  links: RouteNetlink,
  endpoint: Pick<EndpointLink, 'guest' | 'mac' | 'addresses'> & {
    readonly parent: number;
    readonly namespace: NetworkNamespace;
    readonly mode: number;
  },
): Promise<void> {
  const { namespace, guest } = endpoint;
  links.addMacvlan({ ...endpoint, name: guest });
  try {
    await setGuestAddresses(namespace, endpoint);
  } catch (error) {
    await removeGuestLink(namespace, guest);
    throw error;
  }
}

/** Puts a container beside a link of the host, with that one's MAC. On failure nothing is left. */
export async function addIpvlan(
  links: RouteNetlink,
  endpoint: Pick<EndpointLink, 'guest' | 'addresses'> & {
    readonly parent: number;
    readonly namespace: NetworkNamespace;
    readonly mode: number;
    readonly flags: number;
  },
): Promise<void> {
  const { namespace, guest } = endpoint;
  links.addIpvlan({ ...endpoint, name: guest });
  try {
    await setGuestAddresses(namespace, endpoint);
  } catch (error) {
    await removeGuestLink(namespace, guest);
    throw error;
  }
}

/** Addresses of a link inside, which comes up. */
export async function setGuestAddresses(
  namespace: NetworkNamespace,
  endpoint: Pick<EndpointLink, 'guest' | 'addresses'>,
): Promise<void> {
  const ipv6 = endpoint.addresses.some((address) => address.bytes.length === 16);
  await namespace.setSysctlsAside({
    [`ipv6/conf/${endpoint.guest}/accept_dad`]: '0',
    [`ipv6/conf/${endpoint.guest}/disable_ipv6`]: ipv6 ? '0' : '1',
  });
  const { index } = (await findLink(endpoint.guest, namespace))!;
  await changeLinks([...endpoint.addresses.map((address) => addressOn(index, address)), linkUp(index)], namespace);
}

/** Takes a link out of a container, and with a veth its other end. Idempotent. */
export async function removeGuestLink(namespace: NetworkNamespace, guest: string): Promise<void> {
  const link = await findLink(guest, namespace);
  if (link) await removeLinkAside(link, namespace);
}

/** The container's way out. A gateway of each family, or none. */
export async function setDefaultRoutes(
  namespace: NetworkNamespace,
  guest: string,
  gateways: readonly Uint8Array[],
): Promise<void> {
  const { index } = (await findLink(guest, namespace))!;
  await changeLinks(
    gateways.map((gateway) => routeBy({ gateway, link: index })),
    namespace,
  );
}

/** A way out that no gateway is needed for: what is sent by the link is routed by its parent's host. */
export async function setDefaultLinkRoute(namespace: NetworkNamespace, guest: string, family: 4 | 6): Promise<void> {
  const { index } = (await findLink(guest, namespace))!;
  const destination = { bytes: new Uint8Array(family === 4 ? 4 : 16), prefix: 0 };
  await changeLinks([routeBy({ destination, link: index })], namespace);
}

/** The kernel routes between links only when told so; Docker does the same. Says whether it had to. */
export function enableForwarding(family: 4 | 6): boolean {
  const path = family === 4 ? 'ipv4/ip_forward' : 'ipv6/conf/all/forwarding';
  if (readFileSync(`${SYSCTLS}/${path}`, 'latin1').trim() !== '0') return false;
  if (family === 6) keepRouterAdvertisements();
  writeFileSync(`${SYSCTLS}/${path}`, '1');
  return true;
}

/** A kernel that forwards IPv6 stops listening to routers, and the host would lose its own way out: 2 is 'listen all the same'. */
function keepRouterAdvertisements(): void {
  for (const link of readdirSync(`${SYSCTLS}/ipv6/conf`)) {
    const path = `${SYSCTLS}/ipv6/conf/${link}/accept_ra`;
    if (readFileSync(path, 'latin1').trim() === '1') writeFileSync(path, '2');
  }
}
