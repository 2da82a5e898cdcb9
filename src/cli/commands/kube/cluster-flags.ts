import { type Cluster, openCluster } from '../../../kube/cluster/cluster.ts';
import type { Cli } from '../../cli.ts';
import { type Flags, type FlagValues, string } from '../../flag.ts';

/** Which cluster is meant. */
export const CLUSTER_FLAGS = {
  'kube-context': string('The context of the kubeconfig (default: its current one)'),
  kubeconfig: string('The kubeconfig (default: KUBECONFIG, ~/.kube/config)', { complete: 'file' }),
  namespace: string('The namespace of objects that name none', { short: 'n' }),
} satisfies Flags;

export function clusterOf(cli: Cli, flags: FlagValues<typeof CLUSTER_FLAGS>): Promise<Cluster> {
  return openCluster({
    kubeconfig: flags.kubeconfig || undefined,
    context: flags['kube-context'] || undefined,
    namespace: flags.namespace || undefined,
    env: cli.env,
  });
}
