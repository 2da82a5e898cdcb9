import { podContainersOf, readPodLog } from '../../../kube/cluster/logs.ts';
import { command, CommandError } from '../../command.ts';
import { bool, duration, int } from '../../flag.ts';
import { CLUSTER_FLAGS, clusterOf } from './cluster-flags.ts';
import { readManifestFiles } from './manifest-file.ts';

export const logs = command({
  usage: '[OPTIONS] FILE|- [FILE...]',
  description: 'Show what the pods of manifests print in a cluster.',
  flags: {
    ...CLUSTER_FLAGS,
    follow: bool('Follow log output', { short: 'f' }),
    'no-log-prefix': bool("Don't print the pod and container in front of each line"),
    since: duration('Only what is newer than this (e.g. "10m")'),
    tail: int('Number of lines to show from the end of each container’s log', { initial: -1 }),
    timestamps: bool('Show timestamps', { short: 't' }),
  },
  args: { min: 1 },
  complete: 'file',
  async run(cli, { flags, args }) {
    const manifests = await readManifestFiles(cli, args);
    const cluster = await clusterOf(cli, flags);
    const containers = await podContainersOf(cluster, manifests);
    if (containers.length === 0) throw new CommandError('there are no pods of these manifests in the cluster');
    const read = async (one: (typeof containers)[number]): Promise<void> => {
      const prefix = flags['no-log-prefix'] ? '' : `${one.pod}/${one.container} | `;
      const options = {
        follow: flags.follow,
        timestamps: flags.timestamps,
        tail: flags.tail < 0 ? undefined : flags.tail,
        sinceSeconds: flags.since > 0 ? Math.ceil(flags.since / 1e9) : undefined,
      };
      await readPodLog(cluster, one, options, (line) => cli.print(cli.clean(`${prefix}${line}`)));
    };
    if (flags.follow) await Promise.all(containers.map(read));
    else for (const one of containers) await read(one);
    return 0;
  },
});
