import { ClusterObjects, label } from '../../../kube/cluster/objects.ts';
import { command } from '../../command.ts';
import { bool, duration } from '../../flag.ts';
import { CLUSTER_FLAGS, clusterOf } from './cluster-flags.ts';
import { readManifestFiles } from './manifest-file.ts';

export const apply = command({
  usage: '[OPTIONS] FILE|- [FILE...]',
  description: 'Bring the objects of manifests to a cluster, by server-side apply.',
  examples: `# A Compose project in the cluster of the kubeconfig's current context
gantry compose convert --to kubernetes | gantry kube apply --wait -

# What would the server say?
gantry kube apply --server-dry-run shop.yaml`,
  flags: {
    ...CLUSTER_FLAGS,
    'force-conflicts': bool('Take over fields that another manager owns'),
    'server-dry-run': bool('Let the server check everything, and change nothing'),
    wait: bool('Until the pods of workloads are ready, and jobs complete'),
    timeout: duration('How long to wait', { initial: 300e9, defaultText: '5m0s' }),
  },
  args: { min: 1 },
  complete: 'file',
  async run(cli, { flags, args }) {
    const manifests = await readManifestFiles(cli, args);
    const objects = new ClusterObjects(await clusterOf(cli, flags));
    const dryRun = flags['server-dry-run'];
    for (const one of manifests) {
      const outcome = await objects.apply(one, { force: flags['force-conflicts'], dryRun });
      cli.print(cli.clean(`${label(one)} ${outcome}${dryRun ? ' (server dry run)' : ''}`));
    }
    if (flags.wait && !dryRun) for (const one of manifests) await objects.ready(one, flags.timeout / 1e6);
    return 0;
  },
});
