import { Gate } from '../../base/gate.ts';
import type {
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspect,
  ContainerStats,
  ContainerSummary,
  ContainerTop,
  ContainerUpdateRequest,
  FilesystemChange,
  PathStat,
  PruneContainersReport,
} from '../../api/container.ts';
import type { Filters } from '../../api/filters.ts';
import type { PortChangeDocument, PortsDocument } from '../../api/gantry.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { AttachOptions, AttachSession, CommitOptions, ContainerService, LogOptions } from '../engine.ts';
import { archiveGet, archivePut, archiveStat, containerChanges, exportContainer } from './archive.ts';
import { attachToContainer } from './attach.ts';
import { changeContainerPorts } from './change-ports.ts';
import { commitContainer } from './commit.ts';
import { type ContainerContext, findContainer } from './context.ts';
import { createContainer } from './create.ts';
import { inspectContainer } from './inspect.ts';
import { killContainer } from './kill.ts';
import { type ListOptions, listContainers } from './list.ts';
import type { Outcome } from './live.ts';
import { containerLogs } from './logs.ts';
import { pauseContainer, runningTask, unpauseContainer } from './pause.ts';
import { pruneContainers } from './prune.ts';
import { removeContainer } from './remove.ts';
import { renameContainer } from './rename.ts';
import { startContainer } from './start.ts';
import { containerStats, type StatsOptions } from './stats.ts';
import { restartContainer, stopContainer, type StopOptions } from './stop.ts';
import { topOfContainer } from './top.ts';
import { updateContainer } from './update.ts';
import { whyContainer } from './why/why.ts';
import type { WhyDocument } from '../../api/why.ts';
import { type WaitCondition, waitForContainer } from './wait.ts';

/** Each keeps the one thread for some milliseconds: of a crowd so many are made at a time, and others are answered in between. */
const CREATIONS = new Gate(3);

/** The verbs on containers, each in a file of its own. */
export class Containers implements ContainerService {
  readonly #context: ContainerContext;

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  create(
    request: ContainerCreateRequest,
    options: { name?: string; platform?: string } = {},
  ): Promise<ContainerCreateResponse> {
    return CREATIONS.run(() => createContainer(this.#context, request, options));
  }

  start(id: string): Promise<void> {
    return startContainer(this.#context, id);
  }

  stop(id: string, options?: StopOptions): Promise<void> {
    return stopContainer(this.#context, id, options);
  }

  restart(id: string, options?: StopOptions): Promise<void> {
    return restartContainer(this.#context, id, options);
  }

  kill(id: string, signal?: string): Promise<void> {
    return killContainer(this.#context, id, signal);
  }

  pause(id: string): Promise<void> {
    return pauseContainer(this.#context, id);
  }

  unpause(id: string): Promise<void> {
    return unpauseContainer(this.#context, id);
  }

  rename(id: string, name: string): Promise<void> {
    return renameContainer(this.#context, id, name);
  }

  update(id: string, request: ContainerUpdateRequest): Promise<{ Warnings: string[] }> {
    return updateContainer(this.#context, id, request);
  }

  changePorts(id: string, change: PortChangeDocument): Promise<PortsDocument> {
    return changeContainerPorts(this.#context, id, change);
  }

  remove(id: string, options?: { force?: boolean; volumes?: boolean; link?: boolean }): Promise<void> {
    return removeContainer(this.#context, id, options);
  }

  wait(id: string, condition: WaitCondition, signal?: AbortSignal): Promise<{ outcome: Promise<Outcome> }> {
    return waitForContainer(this.#context, id, condition, signal);
  }

  inspect(id: string, options?: { size?: boolean }): Promise<ContainerInspect> {
    return inspectContainer(this.#context, id, options);
  }

  why(id: string): Promise<WhyDocument> {
    return whyContainer(this.#context, id);
  }

  list(options?: ListOptions): Promise<ContainerSummary[]> {
    return listContainers(this.#context, options);
  }

  top(id: string, psArgs?: string): Promise<ContainerTop> {
    return topOfContainer(this.#context, id, psArgs);
  }

  stats(id: string, options: StatsOptions): Promise<AsyncIterable<ContainerStats>> {
    return containerStats(this.#context, id, options);
  }

  logs(id: string, options: LogOptions): ReturnType<ContainerService['logs']> {
    return containerLogs(this.#context, id, options);
  }

  attach(id: string, options: AttachOptions): Promise<AttachSession> {
    return attachToContainer(this.#context, id, options);
  }

  async resize(id: string, size: { rows: number; columns: number }): Promise<void> {
    const record = findContainer(this.#context, id);
    const task = runningTask(this.#context, record);
    // Without a terminal there is nothing to resize, and Docker has no word to say about it.
    if (record.config.Tty) await task.resize(size);
  }

  changes(id: string): Promise<FilesystemChange[]> {
    return containerChanges(this.#context, id);
  }

  export(id: string, options?: OperationOptions): Promise<Bytes> {
    return exportContainer(this.#context, id, options);
  }

  archiveStat(id: string, path: string): Promise<PathStat> {
    return archiveStat(this.#context, id, path);
  }

  archiveGet(id: string, path: string, options?: OperationOptions): Promise<{ stat: PathStat; tar: Bytes }> {
    return archiveGet(this.#context, id, path, options);
  }

  archivePut(
    id: string,
    path: string,
    tar: Bytes,
    options?: OperationOptions & { noOverwriteDirNonDir?: boolean; copyUidGid?: boolean },
  ): Promise<void> {
    return archivePut(this.#context, id, path, tar, options);
  }

  commit(id: string, options: CommitOptions): Promise<{ Id: string }> {
    return commitContainer(this.#context, id, options);
  }

  prune(filters: Filters): Promise<PruneContainersReport> {
    return pruneContainers(this.#context, filters);
  }
}
