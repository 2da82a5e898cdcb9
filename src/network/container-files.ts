/** The texts of a container's /etc/hosts and /etc/resolv.conf. Pure. */

export interface HostsEntry {
  readonly address: string;
  readonly names: readonly string[];
}

/** hosts(5). The container's own lines come last, as Docker writes them. */
export function hostsText(options: {
  readonly extra: readonly HostsEntry[];
  readonly own: readonly HostsEntry[];
}): string {
  const lines = [...LOCAL, ...options.extra, ...options.own];
  return lines.map(({ address, names }) => `${address}\t${names.join(' ')}\n`).join('');
}

const LOCAL: readonly HostsEntry[] = [
  { address: '127.0.0.1', names: ['localhost'] },
  { address: '::1', names: ['localhost', 'ip6-localhost', 'ip6-loopback'] },
  { address: 'fe00::', names: ['ip6-localnet'] },
  { address: 'ff00::', names: ['ip6-mcastprefix'] },
  { address: 'ff02::1', names: ['ip6-allnodes'] },
  { address: 'ff02::2', names: ['ip6-allrouters'] },
];

export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** resolv.conf(5): of a repeated `search` the last counts. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  const options: string[] = [];
  let search: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) nameservers.push(values[0]);
    else if (keyword === 'search' || keyword === 'domain') search = values;
    else if (keyword === 'options') options.push(...values);
  }
  return { nameservers, search, options };
}

export function resolvConfText(conf: ResolvConf): string {
  return [
    '# Made for this container by its engine; edits stay until the next start.\n\n',
    ...conf.nameservers.map((server) => `nameserver ${server}\n`),
    ...(conf.search.length > 0 ? [`search ${conf.search.join(' ')}\n`] : []),
    ...(conf.options.length > 0 ? [`options ${conf.options.join(' ')}\n`] : []),
  ].join('');
}

/** What a container asked for with `--dns`, `--dns-search`, `--dns-opt`. A search domain of `.` is none at all. */
export interface DnsRequest {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** The host's settings under what was asked for. */
export function mergeDns(host: ResolvConf, asked: DnsRequest): ResolvConf {
  const search = asked.search.length > 0 ? asked.search.filter((domain) => domain !== '.') : host.search;
  return {
    nameservers: asked.servers.length > 0 ? asked.servers : host.nameservers,
    search,
    options: asked.options.length > 0 ? asked.options : host.options,
  };
}

/** Whether a container in its own namespace can reach this name server: the host's loopback is not its loopback. */
export function isReachableServer(server: string): boolean {
  return !server.startsWith('127.') && server !== '::1' && !server.includes('%');
}

/** When the host has no name server that a container could reach. */
export const PUBLIC_SERVERS: readonly string[] = ['8.8.8.8', '8.8.4.4'];
