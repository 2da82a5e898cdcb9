import type { EndpointSettings } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { tryParseAddress } from '../../network/address.ts';
import type { GatewayMode } from '../../network/firewall.ts';
import type { NetworkRecord } from '../../state/networks.ts';

/** Options of the bridge driver, by the names that Docker gives them. */
export const OPTION = {
  name: 'com.docker.network.bridge.name',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  communication: 'com.docker.network.bridge.enable_icc',
  hostBinding: 'com.docker.network.bridge.host_binding_ipv4',
  defaultBridge: 'com.docker.network.bridge.default_bridge',
  inhibitIpv4: 'com.docker.network.bridge.inhibit_ipv4',
  gatewayMode: 'com.docker.network.bridge.gateway_mode_ipv',
  trusted: 'com.docker.network.bridge.trusted_host_interfaces',
  mtu: 'com.docker.network.driver.mtu',
  guestPrefix: 'com.docker.network.container_iface_prefix',
} as const;

/** Options of one endpoint, in its `DriverOpts`. */
export const ENDPOINT_OPTION = {
  interface: 'com.docker.network.endpoint.ifname',
  sysctls: 'com.docker.network.endpoint.sysctls',
} as const;

/** `net.ipv4.conf.IFNAME.log_martians=1,…` as paths below /proc/sys/net. Only settings of the endpoint's own interface. Throws `invalid-argument`. */
export function endpointSysctls(wanted: EndpointSettings, guest: string): Record<string, string> {
  const text = wanted.DriverOpts?.[ENDPOINT_OPTION.sysctls] ?? '';
  const settings = text.split(',').filter((setting) => setting !== '');
  return Object.fromEntries(
    settings.map((setting) => {
      const match = /^net\.(ipv4|ipv6|mpls)\.(conf|neigh|input)\.IFNAME\.([a-z0-9_]+)=(-?\w+)$/i.exec(setting);
      if (!match) {
        throw new EngineError(
          'invalid-argument',
          `unrecognised network interface sysctl '${setting}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
        );
      }
      const [, family, kind, name, value] = match;
      return [`${family}/${kind}/${guest}/${name}`, value!];
    }),
  );
}

type Options = Pick<NetworkRecord, 'options'>;

/** A switch as Go's `strconv.ParseBool` reads it. Throws `invalid-argument`. */
export function isOn(record: Options, option: string, otherwise: boolean): boolean {
  const value = record.options[option];
  if (value === undefined) return otherwise;
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  const why = `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`;
  throw new EngineError('invalid-argument', `failed to parse ${option} value: ${value} (${why})`);
}

/** Throws `invalid-argument`. */
export function bridgeMtu(record: Options, otherwise: number): number {
  const value = record.options[OPTION.mtu];
  if (value === undefined) return otherwise;
  const mtu = Number(value);
  if (!/^[+-]?\d+$/.test(value)) {
    const why = `strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`;
    throw new EngineError('invalid-argument', `failed to parse ${OPTION.mtu} value: ${value} (${why})`);
  }
  if (mtu < 0) throw new EngineError('invalid-argument', `invalid MTU number: ${value}`);
  if (mtu < 68 || mtu > 65535) {
    throw new EngineError('invalid-argument', `invalid value for ${OPTION.mtu}: "${value}"`);
  }
  return mtu;
}

const GATEWAY_MODES: readonly string[] = ['nat', 'nat-unprotected', 'routed', 'isolated'] satisfies GatewayMode[];

/** Throws `invalid-argument`. */
export function gatewayMode(record: Pick<NetworkRecord, 'options' | 'internal'>, family: 4 | 6): GatewayMode {
  const option = `${OPTION.gatewayMode}${family}`;
  const mode = record.options[option] || 'nat';
  if (!isGatewayMode(mode)) {
    throw new EngineError(
      'invalid-argument',
      `failed to parse ${option} value: ${mode} (unknown gateway mode ${mode})`,
    );
  }
  if (mode === 'isolated' && !record.internal) {
    throw new EngineError('invalid-argument', "gateway mode 'isolated' can only be used for an internal network");
  }
  return mode;
}

function isGatewayMode(text: string): text is GatewayMode {
  return GATEWAY_MODES.includes(text);
}

/** Links of the host that may reach published ports by the container's own address: `eth0:eth1`. Throws `invalid-argument`. */
export function trustedInterfaces(record: Options): string[] {
  const names = (record.options[OPTION.trusted] ?? '').split(':').filter((name) => name !== '');
  for (const name of names) {
    // it becomes part of a rule
    if (!/^[\w.@-]{1,15}$/.test(name)) {
      throw new EngineError('invalid-argument', `invalid name of an interface in ${OPTION.trusted}: "${name}"`);
    }
  }
  return names;
}

const MACVLAN_MODES: Readonly<Record<string, number>> = { private: 1, vepa: 2, bridge: 4, passthru: 8 };

/** The kernel's bit for `macvlan_mode`. Throws `invalid-argument`. */
export function macvlanMode(record: Options): number {
  const name = record.options['macvlan_mode'] || 'bridge';
  const mode = Object.hasOwn(MACVLAN_MODES, name) ? MACVLAN_MODES[name] : undefined;
  if (mode === undefined) {
    throw new EngineError(
      'invalid-argument',
      `requested macvlan mode '${name}' is not valid, 'bridge' mode is the macvlan driver default`,
    );
  }
  return mode;
}

const IPVLAN_MODES: Readonly<Record<string, number>> = { l2: 0, l3: 1, l3s: 2 };
const IPVLAN_FLAGS: Readonly<Record<string, number>> = { bridge: 0, private: 1, vepa: 2 };

/** The kernel's numbers for `ipvlan_mode` and `ipvlan_flag`. Throws `invalid-argument`. */
export function ipvlanMode(record: Options): { mode: number; flags: number } {
  const mode = record.options['ipvlan_mode'] || 'l2';
  if (!Object.hasOwn(IPVLAN_MODES, mode)) {
    throw new EngineError(
      'invalid-argument',
      `requested ipvlan mode '${mode}' is not valid, 'l2' mode is the ipvlan driver default`,
    );
  }
  const flag = record.options['ipvlan_flag'] || 'bridge';
  if (!Object.hasOwn(IPVLAN_FLAGS, flag)) {
    throw new EngineError(
      'invalid-argument',
      `requested ipvlan flag '${flag}' is not valid, 'bridge' is the ipvlan driver default`,
    );
  }
  return { mode: IPVLAN_MODES[mode]!, flags: IPVLAN_FLAGS[flag]! };
}

/** Beside a link of the host, and not on a bridge. */
export function isBeside({ driver }: Pick<NetworkRecord, 'driver'>): boolean {
  return driver === 'macvlan' || driver === 'ipvlan';
}

/** Whether its containers have no way out: one without a parent is beside a link that leads nowhere. */
export function isCutOff(record: Pick<NetworkRecord, 'driver' | 'internal' | 'options'>): boolean {
  return record.internal || (isBeside(record) && !record.options['parent']);
}

/** Whether packets are routed by the host of its parent: there are no neighbours then, and no gateway among them. */
export function isRouted(record: Pick<NetworkRecord, 'driver' | 'options'>): boolean {
  return record.driver === 'ipvlan' && ipvlanMode(record).mode !== IPVLAN_MODES['l2'];
}

/** Where the network's containers publish ports that name no address: empty is everywhere, in both families. Throws `invalid-argument`. */
export function publishAddress(record: Options, otherwise: string): string {
  const address = record.options[OPTION.hostBinding] ?? otherwise;
  if (!tryParseAddress(address)) {
    throw new EngineError('invalid-argument', `failed to parse ${OPTION.hostBinding} value: ${address} (nil ip)`);
  }
  // as in Docker, 0.0.0.0 is everywhere, in both families
  return address === '0.0.0.0' ? '' : address;
}
