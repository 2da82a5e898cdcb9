import type {
  EndpointIpamConfig,
  EndpointSettings,
  Ipam,
  IpamConfig,
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkDisconnectRequest,
  NetworkingConfig,
  PortBinding,
} from '../../api/network.ts';
import { bool, int, list, map, nullable, string, struct } from './shape.ts';

export const portMap = map(
  nullable(
    list(struct<PortBinding>('nat.PortBinding', { HostIp: string, HostPort: string }, { HostIp: '', HostPort: '' })),
  ),
  'nat.PortMap',
);

const endpointSettings = struct<EndpointSettings>('network.EndpointSettings', {
  IPAMConfig: struct<EndpointIpamConfig>('network.EndpointIPAMConfig', {
    IPv4Address: string,
    IPv6Address: string,
    LinkLocalIPs: list(string),
  }),
  Links: list(string),
  Aliases: list(string),
  MacAddress: string,
  DriverOpts: map(string),
  GwPriority: int,
  NetworkID: string,
  EndpointID: string,
  Gateway: string,
  IPAddress: string,
  IPPrefixLen: int,
  IPv6Gateway: string,
  GlobalIPv6Address: string,
  GlobalIPv6PrefixLen: int,
  DNSNames: list(string),
});

export const networkingConfig = struct<NetworkingConfig>('network.NetworkingConfig', {
  EndpointsConfig: map(nullable(endpointSettings), 'map[string]*network.EndpointSettings'),
});

const ipam = struct<Ipam>('network.IPAM', {
  Driver: string,
  Options: map(string),
  Config: list(
    struct<IpamConfig>('network.IPAMConfig', {
      Subnet: string,
      IPRange: string,
      Gateway: string,
      AuxiliaryAddresses: map(string),
    }),
  ),
});

export const networkCreate = struct<NetworkCreateRequest>('network.CreateRequest', {
  Name: string,
  CheckDuplicate: bool,
  Driver: string,
  Scope: string,
  Internal: bool,
  Attachable: bool,
  Ingress: bool,
  ConfigOnly: bool,
  ConfigFrom: struct<{ Network: string }>('network.ConfigReference', { Network: string }),
  IPAM: ipam,
  EnableIPv4: bool,
  EnableIPv6: bool,
  Options: map(string),
  Labels: map(string),
});

export const networkConnect = struct<NetworkConnectRequest>('network.ConnectOptions', {
  Container: string,
  EndpointConfig: endpointSettings,
});

export const networkDisconnect = struct<NetworkDisconnectRequest>('network.DisconnectOptions', {
  Container: string,
  Force: bool,
});
