import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import { tryParseAddress } from '../../network/address.ts';
import {
  type DnsRequest,
  hostsText,
  type HostsEntry,
  isReachableServer,
  mergeDns,
  parseResolvConf,
  PUBLIC_SERVERS,
  resolvConfText,
  type ResolvConf,
} from '../../network/container-files.ts';
import { SERVER_ADDRESS } from '../../network/dns/name-server.ts';
import type { NetworkAttachment } from '../../state/containers.ts';
import { ContainerNames } from './container-names.ts';
import type { NetworkedContainer, PreparedNetwork } from './networking.ts';

export function filePaths(directory: string): PreparedNetwork['files'] {
  return {
    hosts: join(directory, 'hosts'),
    hostname: join(directory, 'hostname'),
    resolvConf: join(directory, 'resolv.conf'),
  };
}

export interface FileDefaults {
  /** The host's address as containers see it. */
  readonly hostGateway: string;
  /** For containers that ask for none. */
  readonly dns: DnsRequest;
}

/** Writes hosts, hostname and resolv.conf anew, in place: the running container has them mounted. */
export async function writeContainerFiles(
  container: NetworkedContainer,
  attachment: NetworkAttachment,
  defaults: FileDefaults,
  links: readonly HostsEntry[] = [],
): Promise<PreparedNetwork['files']> {
  const paths = filePaths(container.directory);
  await mkdir(container.directory, { recursive: true });
  const hostname = container.config.Hostname || shortId(container.id);
  await Promise.all([
    writeFile(paths.hosts, await hosts(container, attachment, hostname, defaults.hostGateway, links)),
    writeFile(paths.hostname, `${hostname}\n`),
    writeFile(paths.resolvConf, await resolvConf(container, attachment, defaults.dns)),
  ]);
  return paths;
}

async function hosts(
  container: NetworkedContainer,
  attachment: NetworkAttachment,
  hostname: string,
  hostGateway: string,
  links: readonly HostsEntry[],
): Promise<string> {
  const extra = [...(container.hostConfig.ExtraHosts ?? []).map((text) => extraHost(text, hostGateway)), ...links];
  if (attachment.mode === 'host') {
    const lines = extra.map(({ address, names }) => `${address}\t${names.join(' ')}\n`).join('');
    return (await read('/etc/hosts')) + lines;
  }
  const domain = container.config.Domainname;
  // a name with a domain is known without it as well
  const dot = hostname.indexOf('.');
  const names = domain
    ? [`${hostname}.${domain}`, hostname]
    : dot > 0
      ? [hostname, hostname.slice(0, dot)]
      : [hostname];
  const own = Object.values(attachment.endpoints).flatMap((endpoint) =>
    [endpoint.IPAddress, endpoint.GlobalIPv6Address].flatMap((address): HostsEntry[] =>
      address ? [{ address, names }] : [],
    ),
  );
  return hostsText({ extra, own });
}

/** `name:address` or `name=address`; the address may be `host-gateway`, or an IPv6 one in brackets. Throws `invalid-argument`. */
export function extraHost(text: string, hostGateway: string): HostsEntry {
  const cut = text.search(/[:=]/);
  const name = text.slice(0, Math.max(cut, 0));
  const given = text.slice(cut + 1).replace(/^\[(.*)\]$/, '$1');
  const address = given === 'host-gateway' ? hostGateway : given;
  if (name === '' || /\s/.test(name) || !tryParseAddress(address)) {
    throw new EngineError('invalid-argument', `bad format for add-host: "${text}"`);
  }
  return { address, names: [name] };
}

async function resolvConf(
  container: NetworkedContainer,
  attachment: NetworkAttachment,
  defaults: DnsRequest,
): Promise<string> {
  const { Dns, DnsSearch, DnsOptions } = container.hostConfig;
  const asked = {
    servers: Dns?.length ? Dns : defaults.servers,
    search: DnsSearch?.length ? DnsSearch : defaults.search,
    options: DnsOptions?.length ? DnsOptions : defaults.options,
  };
  if (attachment.mode === 'host')
    return resolvConfText(mergeDns(parseResolvConf(await read('/etc/resolv.conf')), asked));
  const conf = mergeDns(await hostResolvConf(), asked);
  if (!ContainerNames.applies(attachment)) return resolvConfText(conf);
  // names without a dot are ours in the first place, not the search domains'
  const ndots = conf.options.some((option) => option.startsWith('ndots:')) ? [] : ['ndots:0'];
  return resolvConfText({ ...conf, nameservers: [SERVER_ADDRESS], options: [...conf.options, ...ndots] });
}

/** The host's own settings, as far as they are of use in another namespace. */
export async function hostResolvConf(): Promise<ResolvConf> {
  const conf = parseResolvConf(await read('/etc/resolv.conf'));
  // systemd-resolved listens on the loopback only, and keeps what it asks itself in a file of its own
  const resolved = conf.nameservers.includes('127.0.0.53')
    ? parseResolvConf(await read('/run/systemd/resolve/resolv.conf')).nameservers
    : [];
  const nameservers = [...conf.nameservers, ...resolved].filter(isReachableServer);
  return { ...conf, nameservers: nameservers.length > 0 ? nameservers : PUBLIC_SERVERS };
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => '');
}
