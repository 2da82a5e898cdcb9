import type { NetworkCreateRequest } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import type { NetworkRecord } from '../../state/networks.ts';

/**
 * Networks that are only a configuration (`--config-only`), and those made from one (`--config-from`): of a configuration
 * come subnets, families, driver options and labels; of the network itself whether it is internal, and its driver.
 */

export const CONFIGURATION_ONLY = 'cannot create endpoint on configuration-only network';

/** Throws in Docker's words. */
export function checkConfigurationRequest(request: NetworkCreateRequest): void {
  const refuse = (words: string): never => {
    throw new EngineError('forbidden', words);
  };
  if (!request.ConfigOnly) return;
  if (request.ConfigFrom?.Network) refuse('a configuration network cannot depend on another configuration network');
  if (request.Internal || request.Attachable || request.Ingress || (request.Scope && request.Scope !== 'local')) {
    refuse(
      'configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.',
    );
  }
}

/** The request with what the configuration that it names says. Throws in Docker's words. */
export function withConfiguration(
  request: NetworkCreateRequest,
  find: (name: string) => NetworkRecord | undefined,
): NetworkCreateRequest {
  const name = request.ConfigFrom?.Network;
  if (!name || request.ConfigOnly) return request;
  const configuration = find(name);
  if (!configuration?.configOnly) {
    throw new EngineError('not-found', `configuration network ${JSON.stringify(name)} does not exist`);
  }
  if (hasEntries(request.Options)) {
    throw new EngineError(
      'forbidden',
      'network driver options are not supported if the network depends on a configuration network',
    );
  }
  const { IPAM } = request;
  const ownIpam = (IPAM?.Config ?? []).length > 0 || hasEntries(IPAM?.Options);
  if (ownIpam || hasEntries(request.Labels) || request.EnableIPv6 || request.EnableIPv4 === false) {
    throw new EngineError(
      'forbidden',
      'user specified configurations are not supported if the network depends on a configuration network',
    );
  }
  const { ipv4, ipv6, options, labels, ipam, ipamOptions } = configuration;
  return {
    ...request,
    ConfigFrom: { Network: configuration.name },
    EnableIPv4: ipv4,
    EnableIPv6: ipv6,
    Options: { ...options },
    Labels: { ...labels },
    IPAM: { Driver: 'default', Options: ipamOptions && { ...ipamOptions }, Config: [...ipam] },
  };
}

function hasEntries(record: Readonly<Record<string, string>> | null | undefined): boolean {
  return Object.keys(record ?? {}).length > 0;
}
