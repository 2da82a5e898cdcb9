import type { ContainerStats, HostConfig } from '../../api/container.ts';
import { EngineError, notFound } from '../../base/errors.ts';
import type { KeyedMutex } from '../../base/mutex.ts';
import type { TaskRunner } from '../../runtime/task.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { ContainerIds, ContainerRecord, ContainerStore } from '../../state/containers.ts';
import type { BackgroundWork } from '../background.ts';
import type { EngineConfig } from '../config.ts';
import type { EventService } from '../engine.ts';
import type { Networking } from '../networks/networking.ts';
import type { Trash } from '../trash/trash.ts';
import type { LiveContainers } from './live.ts';
import type {
  ContainerCommitter,
  ContainerFiles,
  ContainerImages,
  ContainerLogs,
  ContainerRoots,
  ContainerSecrets,
  ContainerSpecs,
  ContainerVolumes,
} from './parts.ts';

/** What the verbs on containers share; each is a function that takes it first. */
export interface ContainerContext {
  readonly config: EngineConfig;
  readonly store: ContainerStore;
  readonly live: LiveContainers;
  /** By container id, around each change of a container's state. */
  readonly locks: KeyedMutex;
  readonly background: BackgroundWork;
  readonly events: EventService;
  readonly images: ContainerImages;
  readonly snapshots: Snapshotter;
  readonly roots: ContainerRoots;
  readonly volumes: ContainerVolumes;
  /** The ids that a new container gets. Throws as `idsFor`. */
  readonly idsFor: (hostConfig: HostConfig) => ContainerIds | undefined;
  readonly secrets: ContainerSecrets;
  /** Where removed ones go. */
  readonly trash: Pick<Trash, 'ticket' | 'put'>;
  readonly networking: Networking;
  /** By name or id; undefined when there is none. */
  readonly findNetwork: (
    nameOrId: string,
  ) => Promise<{ readonly name: string; readonly internal: boolean } | undefined>;
  readonly specs: ContainerSpecs;
  readonly tasks: TaskRunner;
  readonly logs: ContainerLogs;
  readonly files: ContainerFiles;
  readonly committer: ContainerCommitter;
  /** Whether the processes of a container are frozen, as the kernel says. */
  readonly isFrozen: (pid: number, id: string) => Promise<boolean>;
  /** Counters of the cgroup and the network namespace of a running container. */
  readonly readStats: (record: ContainerRecord, pid: number) => Promise<Partial<ContainerStats>>;
  /** Ids of the further processes that are known of a container. */
  readonly execIds: (containerId: string) => string[];
  /** Set when the engine closes: exits are left for the next one to find. */
  readonly closing: AbortSignal;
}

/** By full id, name, or a prefix of an id that only one has. Throws `not-found`, `invalid-argument` (several). */
export function findContainer(context: Pick<ContainerContext, 'store'>, nameOrId: string): ContainerRecord {
  const { store } = context;
  const name = nameOrId.startsWith('/') ? nameOrId.slice(1) : nameOrId;
  const record = store.get(nameOrId) ?? store.byName(name);
  if (record) return record;
  const candidates = /^[0-9a-f]+$/.test(nameOrId) ? store.byPrefix(nameOrId) : [];
  if (candidates.length === 1) return candidates[0]!;
  if (candidates.length > 1) {
    throw new EngineError('invalid-argument', `multiple IDs found with provided prefix: ${nameOrId}`);
  }
  throw notFound('container', nameOrId);
}

/** The record as it is now, inside the lock. Throws `not-found` when it went meanwhile. */
export function currentRecord(context: Pick<ContainerContext, 'store'>, id: string): ContainerRecord {
  const record = context.store.get(id);
  if (!record) throw notFound('container', id);
  return record;
}

/** Tells an event of a container, with the attributes that Docker gives all of them. */
export function publishContainerEvent(
  context: Pick<ContainerContext, 'events'>,
  record: ContainerRecord,
  action: string,
  more: Record<string, string> = {},
): void {
  const attributes = Object.fromEntries([
    ...Object.entries(record.config.Labels ?? {}),
    ['image', record.config.Image ?? ''],
    ['name', record.name],
    ...Object.entries(more),
  ]);
  context.events.publish('container', action, record.id, attributes);
}
