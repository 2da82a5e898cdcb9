import type { HostConfig } from '../../api/container.ts';
import type { EndpointSettings } from '../../api/network.ts';
import type { NetworkedContainer } from './networking.ts';

/** `HostConfig.NetworkMode`, read. */
export type NetworkMode =
  | { readonly kind: 'host' | 'none' }
  | { readonly kind: 'container'; readonly container: string }
  | { readonly kind: 'networks'; readonly first: string };

export function networkMode(hostConfig: HostConfig, disabled = false): NetworkMode {
  const mode = hostConfig.NetworkMode ?? '';
  if (mode === 'host') return { kind: 'host' };
  if (mode === 'none' || disabled) return { kind: 'none' };
  if (mode.startsWith('container:')) return { kind: 'container', container: mode.slice('container:'.length) };
  return { kind: 'networks', first: mode === '' || mode === 'default' ? 'bridge' : mode };
}

/** What a container's `networks` say once its last one was disconnected: otherwise its mode would bring that back at the next start. */
export const NO_NETWORKS: NetworkedContainer['networks'] = { none: {} };

/** The networks a container is to be on, in the order of its interfaces, with what was asked of each. */
export function wantedNetworks(container: NetworkedContainer): [string, EndpointSettings][] {
  const mode = networkMode(container.hostConfig, container.config.NetworkDisabled);
  if (mode.kind !== 'networks') return [];
  // the first one may have been disconnected meanwhile
  const names = Object.keys(container.networks);
  if (names.length === 1 && names[0] === 'none') return [];
  const hasFirst = names.length === 0 || names.includes(mode.first) || names.includes('default');
  const wanted = new Map<string, EndpointSettings>(hasFirst ? [[mode.first, {}]] : []);
  for (const [name, settings] of Object.entries(container.networks)) {
    wanted.set(name === 'default' ? 'bridge' : name, settings ?? {});
  }
  return [...wanted];
}
