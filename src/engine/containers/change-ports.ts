import type { HostConfig } from '../../api/container.ts';
import type { PortChangeDocument, PortsDocument } from '../../api/gantry.ts';
import type { PortBinding } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { isRequested, type PortRequest, portRequests } from '../../network/ports.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { networkMode } from '../networks/network-mode.ts';
import { type ContainerContext, currentRecord, findContainer, publishContainerEvent } from './context.ts';
import { hasProcess } from './state.ts';

type PortMap = Readonly<Record<string, PortBinding[] | null>>;

/**
 * Publishes and withdraws ports of a container that was created already, at once when it runs. The record is written after
 * the host: an engine that dies in between takes its sockets and its promise with it, and the next one makes what was before.
 */
export async function changeContainerPorts(
  context: ContainerContext,
  nameOrId: string,
  request: PortChangeDocument,
): Promise<PortsDocument> {
  const change = { add: request.Add ?? {}, remove: request.Remove ?? {} };
  portRequests(change.add);
  const removals = portRequests(change.remove);
  const { id } = findContainer(context, nameOrId);
  return await context.locks.run(id, async () => {
    const record = currentRecord(context, id);
    if (context.live.of(id).removing) {
      throw new EngineError('conflict', `container ${record.name} is being removed: its ports cannot be changed`);
    }
    checkMode(record);
    const hostConfig = withPorts(record, change.add, removals);
    const running = hasProcess(record.state);
    const attachment = running ? await context.networking.changePorts(id, change) : undefined;
    // networks may have been connected meanwhile: those fields are not this change's to write
    const current = currentRecord(context, id);
    const updated: ContainerRecord = { ...current, hostConfig, attachment: attachment ?? current.attachment };
    context.store.update(updated);
    publishContainerEvent(context, updated, 'update');
    return { Ports: { ...attachment?.ports } };
  });
}

function checkMode({ name, hostConfig, config }: ContainerRecord): void {
  const { kind } = networkMode(hostConfig, config.NetworkDisabled);
  if (kind === 'networks') return;
  const why = {
    host: "has the host's network: its ports are the host's already",
    none: 'has no network',
    container: "has another container's network: publish the port there",
  }[kind];
  throw new EngineError('conflict', `container ${name} ${why}`);
}

/** What later runs are to publish. Throws `not-found` for a removal that fits nothing. */
function withPorts(record: ContainerRecord, add: PortMap, removals: readonly PortRequest[]): HostConfig {
  const hostConfig = removals.length > 0 ? withExplicitPorts(record) : record.hostConfig;
  const bindings = new Map(Object.entries(hostConfig.PortBindings ?? {}));
  for (const removal of removals) remove(bindings, removal, record);
  for (const [key, wanted] of Object.entries(add)) {
    const list = wanted && wanted.length > 0 ? wanted : [{ HostIp: '', HostPort: '' }];
    bindings.set(keyOf(key), [...(bindings.get(keyOf(key)) ?? []), ...list]);
  }
  return { ...hostConfig, PortBindings: Object.fromEntries(bindings) };
}

/** `-P` publishes whatever is exposed: once a port is to be left out, the others are named. */
function withExplicitPorts({ hostConfig, config }: ContainerRecord): HostConfig {
  const keys = hostConfig.PublishAllPorts ? Object.keys(config.ExposedPorts ?? {}) : [];
  const exposed = keys.map((key): [string, PortBinding[]] => [keyOf(key), [{ HostIp: '', HostPort: '' }]]);
  const given = Object.entries(hostConfig.PortBindings ?? {}).map(([key, list]): [string, PortBinding[]] => [
    keyOf(key),
    list && list.length > 0 ? list : [{ HostIp: '', HostPort: '' }],
  ]);
  return {
    ...hostConfig,
    PublishAllPorts: hostConfig.PublishAllPorts === true && keys.length === 0,
    PortBindings: Object.fromEntries([...exposed, ...given]),
  };
}

function remove(bindings: Map<string, PortBinding[] | null>, removal: PortRequest, record: ContainerRecord): void {
  const key = `${removal.port}/${removal.protocol}`;
  const list = bindings.get(key) ?? [];
  const exact = list.filter((binding) => !isAsked(binding, removal));
  // one with a random port is named by the port that it got
  const held = (record.attachment?.ports[key] ?? []).some((port) =>
    isRequested(removal, { ...removal, hostAddress: port.HostIp, hostPort: Number(port.HostPort) }),
  );
  const random = held ? list.findIndex(({ HostPort }) => !/^[1-9]\d*$/.test(HostPort ?? '')) : -1;
  const kept = exact.length < list.length ? exact : list.filter((_, at) => at !== random);
  if (kept.length === list.length) {
    throw new EngineError('not-found', `container ${record.name} does not publish ${describe(removal)}`);
  }
  if (kept.length > 0) bindings.set(key, kept);
  else bindings.delete(key);
}

function isAsked({ HostIp, HostPort }: PortBinding, { hostAddress, hostPorts }: PortRequest): boolean {
  if (hostAddress !== '' && hostAddress !== HostIp) return false;
  if (!hostPorts) return true;
  const port = Number(HostPort);
  return HostPort !== '' && port >= hostPorts.first && port <= hostPorts.last;
}

function describe({ port, protocol, hostAddress, hostPorts }: PortRequest): string {
  const host = hostPorts ? `${hostPorts.first}${hostPorts.last > hostPorts.first ? `-${hostPorts.last}` : ''}:` : '';
  return `${hostAddress === '' ? '' : `${hostAddress}:`}${host}${port}/${protocol}`;
}

function keyOf(port: string): string {
  return port.includes('/') ? port : `${port}/tcp`;
}
