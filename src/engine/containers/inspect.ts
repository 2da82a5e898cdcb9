import { join } from 'node:path';
import type { ContainerInspect } from '../../api/container.ts';
import { shownLinks } from '../networks/links.ts';
import { type ContainerContext, findContainer } from './context.ts';
import { containerDirectory, networkedContainer } from './networked.ts';
import { containerSizes } from './sizes.ts';
import { taskLog } from './set-up.ts';
import { hasProcess, stateDocument } from './state.ts';

export async function inspectContainer(
  context: ContainerContext,
  nameOrId: string,
  options: { size?: boolean } = {},
): Promise<ContainerInspect> {
  const record = findContainer(context, nameOrId);
  const { id, config, hostConfig, state } = record;
  const directory = containerDirectory(context, id);
  const everStarted = hasProcess(state) || state.startedAt !== '0001-01-01T00:00:00Z';
  const file = (name: string): string => (everStarted ? join(directory, name) : '');
  const command = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  const keptHere = ['json-file', 'local'].includes(hostConfig.LogConfig?.Type ?? '');
  // Execs end with the run they were made in.
  const execIds = hasProcess(state) ? context.execIds(id) : [];
  return {
    Id: id,
    Created: record.createdAt,
    Path: command[0] ?? '',
    Args: command.slice(1),
    State: stateDocument(state),
    Image: record.imageId,
    ResolvConfPath: file('resolv.conf'),
    HostnamePath: file('hostname'),
    HostsPath: file('hosts'),
    LogPath: everStarted && keptHere ? taskLog(context, record).path : '',
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: 'overlay2',
    Platform: record.platform.os,
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: everStarted ? context.specs.appArmorProfile(hostConfig) : '',
    ExecIDs: execIds.length > 0 ? execIds : null,
    HostConfig: { ...hostConfig, Links: shownLinks(record) },
    GraphDriver: { Name: 'overlay2', Data: await overlayDirectories(context, id) },
    ...(options.size && { SizeRw: 0, ...(await containerSizes(context, record)) }),
    Mounts: record.mounts.map((mount) => mount.point),
    Config: config,
    NetworkSettings: context.networking.settings(networkedContainer(context, record), record.attachment, state.pid),
    ...(record.imageDescriptor && { ImageManifestDescriptor: record.imageDescriptor }),
  };
}

/** The directories of the container's overlay, under the names that tools read from Docker. */
async function overlayDirectories(context: ContainerContext, id: string): Promise<Record<string, string>> {
  const data: Record<string, string> = { ID: id };
  const [mount] = await context.snapshots.mounts(id);
  for (const option of mount?.options ?? []) {
    for (const [key, name] of [
      ['lowerdir=', 'LowerDir'],
      ['upperdir=', 'UpperDir'],
      ['workdir=', 'WorkDir'],
    ] as const) {
      if (option.startsWith(key)) data[name] = option.slice(key.length);
    }
  }
  data['MergedDir'] = context.roots.path(id);
  return data;
}
