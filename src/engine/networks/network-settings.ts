import type { NetworkSettings } from '../../api/container.ts';
import type { PortBinding } from '../../api/network.ts';
import type { HeldPort } from '../../network/port-allocator.ts';
import type { NetworkAttachment } from '../../state/containers.ts';

/** `NetworkSettings` of inspect. The fields of old that stand beside `Networks` repeat the default network. */
export function networkSettings(attachment: NetworkAttachment, pid: number, running: boolean): NetworkSettings {
  const endpoint = attachment.endpoints['bridge'];
  const sandbox = running && attachment.mode !== 'container';
  return {
    Bridge: '',
    SandboxID: sandbox ? attachment.sandboxId : '',
    SandboxKey: sandbox && pid > 0 ? `/proc/${pid}/ns/net` : '',
    Ports: { ...attachment.ports },
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: endpoint?.EndpointID ?? '',
    Gateway: endpoint?.Gateway ?? '',
    GlobalIPv6Address: endpoint?.GlobalIPv6Address ?? '',
    GlobalIPv6PrefixLen: endpoint?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: endpoint?.IPAddress ?? '',
    IPPrefixLen: endpoint?.IPPrefixLen ?? 0,
    IPv6Gateway: endpoint?.IPv6Gateway ?? '',
    MacAddress: endpoint?.MacAddress ?? '',
    Networks: { ...attachment.endpoints },
  };
}

/** Exposed ports with null, published ones with what they got. */
export function portBindings(
  exposed: Readonly<Record<string, unknown>> | undefined,
  held: readonly HeldPort[],
): Record<string, PortBinding[] | null> {
  const ports = new Map<string, PortBinding[] | null>();
  for (const key of Object.keys(exposed ?? {})) ports.set(key.includes('/') ? key : `${key}/tcp`, null);
  for (const { port, protocol, hostAddress, hostPort } of held) {
    const key = `${port}/${protocol}`;
    ports.set(key, [
      ...(ports.get(key) ?? []),
      { HostIp: hostAddress, HostPort: hostPort === 0 ? '' : String(hostPort) },
    ]);
  }
  return Object.fromEntries(ports);
}
