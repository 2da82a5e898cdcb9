import type { ContainerUpdateRequest } from '../../../api/container.ts';
import type { PortChangeDocument } from '../../../api/gantry.ts';
import { errorMessage } from '../../../base/errors.ts';
import { command, CommandError } from '../../command.ts';
import { bytes, cpus, int, list, string, swapBytes, uint16 } from '../../flag.ts';
import { forEachName } from '../../names.ts';
import { parsePorts } from '../../options/ports.ts';
import { parseRestart } from '../../options/restart.ts';

export const update = command({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    'blkio-weight': uint16('Block IO (relative weight), between 10 and 1000, or 0 to disable'),
    'cpu-period': int('Limit CPU CFS (Completely Fair Scheduler) period'),
    'cpu-quota': int('Limit CPU CFS (Completely Fair Scheduler) quota'),
    'cpu-rt-period': int('Limit the CPU real-time period in microseconds'),
    'cpu-rt-runtime': int('Limit the CPU real-time runtime in microseconds'),
    'cpu-shares': int('CPU shares (relative weight)', { short: 'c' }),
    cpus: cpus('Number of CPUs'),
    'cpuset-cpus': string('CPUs in which to allow execution (0-3, 0,1)'),
    'cpuset-mems': string('MEMs in which to allow execution (0-3, 0,1)'),
    'kernel-memory': bytes('Kernel memory limit', {
      hidden: true,
      deprecated: 'the kernel has no such limit any more; it is not passed on',
    }),
    memory: bytes('Memory limit', { short: 'm' }),
    'memory-reservation': bytes('Memory soft limit'),
    'memory-swap': swapBytes('Swap limit equal to memory plus swap: -1 to enable unlimited swap'),
    'pids-limit': int('Tune container pids limit (set -1 for unlimited)'),
    'publish-add': list("Publish a container's port to the host, without a restart"),
    'publish-rm': list('Take a published port back, without a restart: [HOST-PORT:]CONTAINER-PORT'),
    restart: string('Restart policy to apply when a container exits', {
      complete: ['no', 'always', 'on-failure', 'unless-stopped'],
    }),
  },
  args: { min: 1 },
  complete: 'container',
  async run(cli, { flags, given, args }) {
    if (given.size === 0) throw new CommandError('you must provide one or more flags when using this command');
    const request: ContainerUpdateRequest = {
      BlkioWeight: flags['blkio-weight'],
      CpuPeriod: flags['cpu-period'],
      CpuQuota: flags['cpu-quota'],
      CpuRealtimePeriod: flags['cpu-rt-period'],
      CpuRealtimeRuntime: flags['cpu-rt-runtime'],
      CpuShares: flags['cpu-shares'],
      NanoCpus: flags.cpus,
      CpusetCpus: flags['cpuset-cpus'],
      CpusetMems: flags['cpuset-mems'],
      Memory: flags.memory,
      MemoryReservation: flags['memory-reservation'],
      MemorySwap: flags['memory-swap'],
      ...(given.has('pids-limit') ? { PidsLimit: flags['pids-limit'] } : {}),
      ...(flags.restart === '' ? {} : { RestartPolicy: parseRestart(flags.restart) }),
    };
    const ports = portChange(flags['publish-add'], flags['publish-rm']);
    const limits = [...given].some((flag) => flag !== 'publish-add' && flag !== 'publish-rm');
    const client = await cli.client();
    const warnings: string[] = [];
    const code = await forEachName(
      cli,
      args,
      async (name) => {
        if (ports) await client.containers.changePorts(name, ports);
        if (!limits) return;
        const { Warnings } = await client.containers.update(name, request);
        warnings.push(...(Warnings ?? []));
      },
      { atOnce: 1 },
    );
    for (const warning of warnings) cli.warn(cli.clean(warning));
    return code;
  },
});

function portChange(add: readonly string[], remove: readonly string[]): PortChangeDocument | undefined {
  if (add.length === 0 && remove.length === 0) return undefined;
  try {
    return { Add: parsePorts(add, []).bindings, Remove: parsePorts(remove, []).bindings };
  } catch (error) {
    throw new CommandError(errorMessage(error));
  }
}
