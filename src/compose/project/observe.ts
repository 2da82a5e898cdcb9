import type { ContainerSummary } from '../../api/container.ts';
import type { NetworkInspect } from '../../api/network.ts';
import type { Volume } from '../../api/volume.ts';
import type { Client } from '../../client/client.ts';
import { LABEL } from './labels.ts';

/** A container of a project, as its labels tell. */
export interface Observed {
  readonly id: string;
  /** Without the slash. */
  readonly name: string;
  readonly service: string;
  readonly number: number;
  readonly oneOff: boolean;
  readonly summary: ContainerSummary;
}

export interface ObservedProject {
  /** One-offs apart. */
  readonly containers: readonly Observed[];
  readonly oneOffs: readonly Observed[];
  readonly networks: readonly NetworkInspect[];
  readonly volumes: readonly Volume[];
}

/** What the engine has of a project. */
export async function observe(client: Client, project: string): Promise<ObservedProject> {
  const filters = new Map([['label', [`${LABEL.project}=${project}`]]]);
  const [all, networks, { Volumes: volumes }] = await Promise.all([
    observeContainers(client, project),
    client.networks.list(filters),
    client.volumes.list(filters),
  ]);
  return {
    containers: all.filter((item) => !item.oneOff),
    oneOffs: all.filter((item) => item.oneOff),
    networks,
    volumes: volumes ?? [],
  };
}

/** All of its containers, one-offs too, in the order of services and numbers. */
export async function observeContainers(client: Client, project: string): Promise<Observed[]> {
  const found = await client.containers.list({
    all: true,
    filters: new Map([['label', [`${LABEL.project}=${project}`]]]),
  });
  return found
    .filter((summary) => Object.hasOwn(summary.Labels, LABEL.service))
    .map(observed)
    .sort((a, b) => (a.service < b.service ? -1 : a.service > b.service ? 1 : a.number - b.number));
}

function observed(summary: ContainerSummary): Observed {
  return {
    id: summary.Id,
    name: (summary.Names.find((name) => !name.slice(1).includes('/')) ?? summary.Id).replace(/^\//, ''),
    service: summary.Labels[LABEL.service] ?? '',
    number: Number(summary.Labels[LABEL.containerNumber] ?? 1),
    oneOff: summary.Labels[LABEL.oneOff] === 'True',
    summary,
  };
}
