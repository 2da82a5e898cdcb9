import type { NetworkCreateRequest } from '../../api/network.ts';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { resourceHash } from '../model/hash.ts';
import { asDict, asList, asText, type Dict, textOf } from '../model/value.ts';
import { texts } from './container-request.ts';
import { COMPOSE_VERSION, LABEL } from './labels.ts';
import type { ObservedProject } from './observe.ts';
import { all } from './parallel.ts';
import type { OnProgress } from './progress.ts';
import type { Project } from './project.ts';

/** Throws `not-found` for external networks and volumes that the engine does not have. Creates nothing. */
export async function checkExternal(client: Client, project: Project): Promise<void> {
  for (const [key, item] of Object.entries(asDict(project.model['networks']))) {
    const network = asDict(item);
    const name = textOf(network['name']);
    if (network['external'] !== true || ['host', 'none', 'bridge', 'default'].includes(name)) continue;
    await client.networks.inspect(name).catch((error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
      throw new EngineError('not-found', `network ${name} declared as external, but could not be found`, {
        cause: key,
      });
    });
  }
  for (const item of Object.values(asDict(project.model['volumes']))) {
    const volume = asDict(item);
    if (volume['external'] !== true) continue;
    const name = textOf(volume['name']);
    const { Volumes: found } = await client.volumes.list(new Map([['name', [name]]]));
    if (!(found ?? []).some((one) => one.Name === name))
      throw new EngineError('not-found', `external volume "${name}" not found`);
  }
}

/** Ids of the project's networks by key: those that exist and are as they should be. */
export async function presentNetworks(
  client: Client,
  project: Project,
  observed: ObservedProject,
): Promise<{ ids: Map<string, string>; changed: string[] }> {
  const ids = new Map<string, string>();
  const changed: string[] = [];
  for (const [key, item] of Object.entries(asDict(project.model['networks']))) {
    const network = asDict(item);
    const name = textOf(network['name']);
    if (network['external'] === true) {
      ids.set(key, (await client.networks.inspect(name)).Id);
      continue;
    }
    const found =
      observed.networks.find((one) => one.Name === name) ??
      (await client.networks.list(new Map([['name', [name]]]))).find((one) => one.Name === name);
    if (!found) continue;
    const had = found.Labels[LABEL.configHash];
    if (found.Labels[LABEL.project] === project.name && had !== undefined && had !== resourceHash('network', network))
      changed.push(key);
    else ids.set(key, found.Id);
  }
  return { ids, changed };
}

/** Makes the networks and volumes that are missing. Idempotent. Gives the ids of all networks by key. */
export async function createResources(
  client: Client,
  project: Project,
  present: ReadonlyMap<string, string>,
  observed: ObservedProject,
  onProgress: OnProgress,
): Promise<Map<string, string>> {
  const ids = new Map(present);
  const networks = async (): Promise<void> => {
    for (const [key, item] of Object.entries(asDict(project.model['networks']))) {
      if (ids.has(key)) continue;
      const network = asDict(item);
      const name = textOf(network['name']);
      onProgress({ kind: 'Network', name, status: 'Creating' });
      ids.set(key, (await client.networks.create(networkRequest(project, key, network))).Id);
      onProgress({ kind: 'Network', name, status: 'Created' });
    }
  };
  await all([networks, () => createVolumes(client, project, observed, onProgress)], (make) => make());
  return ids;
}

async function createVolumes(
  client: Client,
  project: Project,
  observed: ObservedProject,
  onProgress: OnProgress,
): Promise<void> {
  for (const [key, item] of Object.entries(asDict(project.model['volumes']))) {
    const volume = asDict(item);
    const name = textOf(volume['name']);
    if (volume['external'] === true) continue;
    const found = observed.volumes.find((one) => one.Name === name);
    const hash = resourceHash('volume', volume);
    if (found) {
      const had = found.Labels?.[LABEL.configHash];
      if (had !== undefined && had !== hash)
        onProgress({
          kind: 'Volume',
          name,
          status: 'Kept',
          reason: 'its configuration has changed; remove it to have it made anew',
        });
      continue;
    }
    onProgress({ kind: 'Volume', name, status: 'Creating' });
    await client.volumes.create({
      Name: name,
      ...(volume['driver'] === undefined ? {} : { Driver: textOf(volume['driver']) }),
      ...(volume['driver_opts'] === undefined ? {} : { DriverOpts: texts(asDict(volume['driver_opts'])) }),
      Labels: {
        ...texts(asDict(volume['labels'])),
        [LABEL.configHash]: hash,
        [LABEL.project]: project.name,
        [LABEL.version]: COMPOSE_VERSION,
        [LABEL.volume]: key,
      },
    });
    onProgress({ kind: 'Volume', name, status: 'Created' });
  }
}

function networkRequest(project: Project, key: string, network: Dict): NetworkCreateRequest {
  const ipam = asDict(network['ipam']);
  const configs = asList(ipam['config']).map(asDict);
  return {
    Name: textOf(network['name']),
    Driver: asText(network['driver']) ?? 'bridge',
    Internal: network['internal'] === true,
    Attachable: network['attachable'] === true,
    Options: texts(asDict(network['driver_opts'])),
    Labels: {
      ...texts(asDict(network['labels'])),
      [LABEL.configHash]: resourceHash('network', network),
      [LABEL.network]: key,
      [LABEL.project]: project.name,
      [LABEL.version]: COMPOSE_VERSION,
    },
    ...(network['enable_ipv6'] === undefined ? {} : { EnableIPv6: network['enable_ipv6'] === true }),
    ...(network['enable_ipv4'] === undefined ? {} : { EnableIPv4: network['enable_ipv4'] === true }),
    ...(Object.keys(ipam).length === 0
      ? {}
      : {
          IPAM: {
            Driver: asText(ipam['driver']) ?? 'default',
            ...(ipam['options'] === undefined ? {} : { Options: texts(asDict(ipam['options'])) }),
            Config: configs.map((config) => ({
              ...(config['subnet'] === undefined ? {} : { Subnet: textOf(config['subnet']) }),
              ...(config['gateway'] === undefined ? {} : { Gateway: textOf(config['gateway']) }),
              ...(config['ip_range'] === undefined ? {} : { IPRange: textOf(config['ip_range']) }),
              ...(config['aux_addresses'] === undefined
                ? {}
                : { AuxiliaryAddresses: texts(asDict(config['aux_addresses'])) }),
            })),
          },
        }),
  };
}
