import { EngineError, errorMessage } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { HostsEntry } from '../../network/container-files.ts';
import { networkMode } from './network-mode.ts';
import type { ContainerDirectory, NetworkedContainer } from './networking.ts';

/** Another container of the default network that this one knows by an alias (`--link`). */
export interface Link {
  readonly alias: string;
  readonly address: string;
  readonly other: NetworkedContainer;
}

/** What `HostConfig.Links` (`name:alias`) stands for on the default network; elsewhere links are names of the name server. Throws in Docker's words. */
export function linkedContainers(container: NetworkedContainer, containers: ContainerDirectory): Link[] {
  const mode = networkMode(container.hostConfig);
  if (mode.kind !== 'networks' || mode.first !== 'bridge') return [];
  return (container.hostConfig.Links ?? []).map((text) => {
    const { name, alias } = parseLink(text);
    const other = findLinked(containers, name);
    const address = other.attachment?.endpoints['bridge']?.IPAddress;
    if (other.pid === 0 || !address) {
      throw new EngineError(
        'invalid-argument',
        `Cannot link to a non running container: /${other.name} AS /${container.name}/${alias}`,
      );
    }
    return { alias, address, other };
  });
}

/** At create: links are well-formed and name containers that exist. On networks of their own names may come later. */
export function checkLinks(container: NetworkedContainer, containers: ContainerDirectory): void {
  const mode = networkMode(container.hostConfig);
  const later = mode.kind === 'networks' && mode.first !== 'bridge';
  for (const text of container.hostConfig.Links ?? []) {
    const { name } = parseLink(text);
    if (!later) findLinked(containers, name);
  }
}

/** Never `not-found`: clients take that for the image's. */
function findLinked(containers: ContainerDirectory, name: string): ReturnType<ContainerDirectory['find']> {
  try {
    if (name === '') throw new EngineError('invalid-argument', 'invalid name or ID supplied: ""');
    return containers.find(name);
  } catch (error) {
    throw new EngineError('invalid-argument', `could not get container for ${name}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** As inspect shows them: `/db:/web/alias`. Null where they are names of a network's own. */
export function shownLinks(container: Pick<NetworkedContainer, 'name' | 'hostConfig'>): string[] | null {
  const mode = networkMode(container.hostConfig);
  const links = container.hostConfig.Links ?? [];
  if (links.length === 0 || (mode.kind === 'networks' && mode.first !== 'bridge')) return null;
  return links.map(parseLink).map(({ name, alias }) => `/${name}:/${container.name}/${alias}`);
}

/** The links of a container when another one gets a new name; undefined when they say nothing of it. */
export function renamedLinks(
  links: readonly string[] | null | undefined,
  from: string,
  to: string,
): string[] | undefined {
  const parsed = (links ?? []).map(parseLink);
  if (!parsed.some(({ name }) => name === from)) return undefined;
  return parsed.map(({ name, alias }) => `${name === from ? to : name}:${alias}`);
}

/** The links but the one of that alias; undefined when there is none. */
export function linksWithout(links: readonly string[] | null | undefined, alias: string): string[] | undefined {
  const kept = (links ?? []).filter((text) => parseLink(text).alias !== alias);
  return kept.length < (links ?? []).length ? kept : undefined;
}

/** `name`, `name:alias`, and the form that inspect shows: `/name:/container/alias`. */
function parseLink(text: string): { name: string; alias: string } {
  if (text === '') throw new EngineError('invalid-argument', 'empty string specified for links');
  const [target = '', path = target, ...rest] = text.split(':');
  const name = target.replace(/^\//, '');
  const alias = path.slice(path.lastIndexOf('/') + 1);
  if (alias === '' || rest.length > 0) {
    throw new EngineError('invalid-argument', `bad format for links: ${text}`);
  }
  return { name, alias };
}

export function linkHosts(links: readonly Link[]): HostsEntry[] {
  return links.map(({ alias, address, other }) => ({
    address,
    names: [...new Set([alias, other.config.Hostname || shortId(other.id), other.name])],
  }));
}

/** Docker's variables: `DB_NAME`, `DB_PORT`, `DB_PORT_5432_TCP_ADDR`, …, and the other's own as `DB_ENV_…`. */
export function linkEnvironment(container: NetworkedContainer, links: readonly Link[]): string[] {
  return links.flatMap(({ alias, address, other }) => {
    const prefix = alias.toUpperCase().replaceAll('-', '_');
    const ports = Object.keys(other.config.ExposedPorts ?? {})
      .map((key) => key.split('/') as [string, string?])
      .map(([port, protocol = 'tcp']) => ({ port, protocol }))
      .sort((a, b) => rank(a.protocol) - rank(b.protocol) || Number(a.port) - Number(b.port));
    const first = ports[0];
    return [
      ...(first ? [`${prefix}_PORT=${first.protocol}://${address}:${first.port}`] : []),
      ...ports.flatMap(({ port, protocol }) => {
        const name = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
        return [
          `${name}=${protocol}://${address}:${port}`,
          `${name}_ADDR=${address}`,
          `${name}_PORT=${port}`,
          `${name}_PROTO=${protocol}`,
        ];
      }),
      `${prefix}_NAME=/${container.name}/${alias}`,
      ...(other.config.Env ?? [])
        .filter((variable) => !/^(PATH|HOME)=/.test(variable))
        .map((variable) => `${prefix}_ENV_${variable}`),
    ];
  });
}

/** What speaks tcp comes first, as in Docker: it names the port of the link as such. */
function rank(protocol: string): number {
  return protocol === 'tcp' ? 0 : 1;
}
