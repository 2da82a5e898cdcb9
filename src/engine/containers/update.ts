import type { ContainerUpdateRequest, HostConfig } from '../../api/container.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { type ContainerContext, currentRecord, findContainer, publishContainerEvent } from './context.ts';
import { checkRestartPolicy } from './restart-policy.ts';
import { hasProcess } from './state.ts';

const MEMORY_FLOOR = 6 << 20;
/** Docker's specification has it among what is updated, and its engine drops it. */
const INIT_STAYS = 'Init is as the container was created with: it is not changed by an update.';

/** Changes limits, of a running container at once, and the restart policy. Throws `invalid-argument`, `conflict`. */
export async function updateContainer(
  context: ContainerContext,
  nameOrId: string,
  request: ContainerUpdateRequest,
): Promise<{ Warnings: string[] }> {
  const { RestartPolicy, Init, ...resources } = request;
  if (RestartPolicy) checkRestartPolicy(RestartPolicy);
  if (resources.Memory && resources.Memory > 0 && resources.Memory < MEMORY_FLOOR) {
    throw new EngineError('invalid-argument', 'Minimum memory limit allowed is 6MB');
  }
  const { id } = findContainer(context, nameOrId);
  return await context.locks.run(id, async () => {
    const record = currentRecord(context, id);
    const refuse = (why: string): never => {
      throw new EngineError('conflict', `Cannot update container ${id}: ${why}`);
    };
    if (context.live.of(id).removing) refuse('Container is marked for removal and cannot be "update".');
    const hostConfig: HostConfig = { ...record.hostConfig };
    for (const [key, value] of Object.entries(resources)) {
      if (value !== undefined && value !== null && value !== 0 && value !== '')
        Object.assign(hostConfig, { [key]: value });
    }
    if (RestartPolicy?.Name) {
      if (hostConfig.AutoRemove && RestartPolicy.Name !== 'no') {
        refuse('Restart policy cannot be updated because AutoRemove is enabled for the container');
      }
      hostConfig.RestartPolicy = { Name: RestartPolicy.Name, MaximumRetryCount: RestartPolicy.MaximumRetryCount ?? 0 };
    }
    checkTogether(record.hostConfig, hostConfig, resources, refuse);
    const warnings = context.specs.check({ ...record.config, Hostname: '' }, hostConfig);
    const { task } = context.live.of(id);
    if (task && hasProcess(record.state) && Object.keys(resources).length > 0) {
      try {
        await task.update(context.specs.resources(hostConfig));
      } catch (error) {
        refuse(errorMessage(error));
      }
    }
    const updated = { ...record, hostConfig };
    context.store.update(updated);
    publishContainerEvent(context, updated, 'update');
    const fixed = Init !== undefined && Init !== null && Init !== (record.hostConfig.Init ?? false);
    return { Warnings: [...warnings, ...(fixed ? [INIT_STAYS] : [])] };
  });
}

function checkTogether(
  before: HostConfig,
  after: HostConfig,
  asked: ContainerUpdateRequest,
  refuse: (why: string) => never,
): void {
  const swap = before.MemorySwap ?? 0;
  if (asked.Memory && !asked.MemorySwap && swap > 0 && asked.Memory > swap) {
    refuse('Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time');
  }
  if (asked.Memory && !asked.MemorySwap && swap === 0 && (before.Memory ?? 0) === 0) after.MemorySwap = 0;
  if ((asked.NanoCpus ?? 0) > 0 && ((before.CpuQuota ?? 0) > 0 || (before.CpuPeriod ?? 0) > 0)) {
    refuse('Conflicting options: Nano CPUs cannot be updated as CPU Quota/Period has already been set');
  }
  if (((asked.CpuQuota ?? 0) > 0 || (asked.CpuPeriod ?? 0) > 0) && (before.NanoCpus ?? 0) > 0) {
    refuse('Conflicting options: CPU Quota/Period cannot be updated as NanoCPUs has already been set');
  }
}
