import type { HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { ContainerIds, ContainerRecord } from '../../state/containers.ts';

export interface IdPool {
  readonly base: number;
  readonly size: number;
}

/** Behind what systemd takes for its containers, and where no user of a host has ids. */
export const DEFAULT_POOL: IdPool = { base: 1_879_048_192, size: 268_435_456 };

const DEFAULT_SIZE = 65_536;
const AUTO = /^auto(?::size=(\d{1,9}))?$/;

/** Whether `--userns` can be that. */
export function isUsernsMode(mode: string): boolean {
  return mode === '' || mode === 'host' || AUTO.test(mode);
}

/**
 * The host's ids that a new container gets: none of its own (`host`), those of the engine (`userns-remap`), or a range that
 * no other container has (`auto`). It is the container's until that is removed, and is the next one's then. Throws
 * `invalid-argument` for what a user namespace cannot be shared with, `conflict` when all ranges are taken.
 */
export function idsFor(
  hostConfig: HostConfig,
  others: readonly ContainerRecord[],
  config: { readonly remap: ContainerIds | undefined; readonly pool: IdPool | undefined },
): ContainerIds | undefined {
  const mode = hostConfig.UsernsMode ?? '';
  const auto = AUTO.exec(mode);
  const wanted = auto !== null || (mode === '' && config.remap !== undefined);
  const joined = joinedContainers(hostConfig, others);
  const shared = joined.find(({ ids }) => ids)?.ids;
  if (joined.length > 0 && (wanted || shared)) {
    // one who joins is in the same user namespace, or could do nothing in what it joins
    if (mode === 'host') return undefined;
    if (!joined.every(({ ids }) => sameIds(ids, shared))) {
      throw new EngineError(
        'invalid-argument',
        'the containers whose namespaces are joined are in user namespaces of their own each',
      );
    }
    return shared;
  }
  if (!wanted) return undefined;
  refuseHostNamespaces(hostConfig);
  if (!auto) return config.remap;
  if (!config.pool) {
    throw new EngineError(
      'unimplemented',
      `invalid user namespace mode: ${mode}: an engine without root has one range of ids, which all its containers share`,
    );
  }
  const size = auto[1] === undefined ? DEFAULT_SIZE : Number(auto[1]);
  if (size < 1 || size > config.pool.size) {
    throw new EngineError(
      'invalid-argument',
      `invalid user namespace mode: ${mode}: the size must be 1 to ${config.pool.size}`,
    );
  }
  const range = freeRange(config.pool, size, others);
  return { uid: range, gid: range };
}

/**
 * The same for a command of a build, which is in the engine's user namespace too: no request takes it out of there. Throws
 * `invalid-argument`, and says what to do.
 */
export function idsForCommand(
  command: Pick<HostConfig, 'NetworkMode' | 'Privileged'>,
  idsOf: (hostConfig: HostConfig) => ContainerIds | undefined,
): ContainerIds | undefined {
  try {
    return idsOf(command);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(
      error.code,
      `${error.message}: with userns-remap every RUN is in a user namespace: build this on an engine without, or run it as a container with --userns host and commit that`,
      { cause: error },
    );
  }
}

function joinedContainers(hostConfig: HostConfig, others: readonly ContainerRecord[]): ContainerRecord[] {
  const modes = [hostConfig.NetworkMode, hostConfig.PidMode, hostConfig.IpcMode];
  return modes.flatMap((mode) => {
    const id = /^container:(.+)$/.exec(mode ?? '')?.[1];
    return id === undefined ? [] : others.filter((other) => other.id === id || other.name === id);
  });
}

function sameIds(one: ContainerIds | undefined, other: ContainerIds | undefined): boolean {
  return one?.uid.base === other?.uid.base && one?.gid.base === other?.gid.base;
}

/** In Docker's words. */
function refuseHostNamespaces({ Privileged, PidMode, NetworkMode }: HostConfig): void {
  const refuse = (words: string): never => {
    throw new EngineError('invalid-argument', words);
  };
  if (Privileged)
    refuse(
      'privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode',
    );
  if (PidMode === 'host') refuse('cannot share the host PID namespace when user namespaces are enabled');
  if (NetworkMode === 'host') refuse("cannot share the host's network namespace when user namespaces are enabled");
}

/** The first gap between those that are taken. */
function freeRange(pool: IdPool, size: number, others: readonly ContainerRecord[]): IdPool {
  const taken = others
    .flatMap(({ ids }) => (ids ? [ids.uid, ids.gid] : []))
    .filter(({ base }) => base >= pool.base && base < pool.base + pool.size)
    .sort((a, b) => a.base - b.base);
  let base = pool.base;
  for (const range of taken) {
    if (range.base - base >= size) break;
    base = Math.max(base, range.base + range.size);
  }
  if (base + size <= pool.base + pool.size) return { base, size };
  throw new EngineError(
    'conflict',
    'all ranges of ids for user namespaces are taken: remove containers, or give the engine more subordinate ids',
  );
}
