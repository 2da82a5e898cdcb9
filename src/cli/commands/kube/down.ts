import { ClusterObjects, label } from '../../../kube/cluster/objects.ts';
import { command } from '../../command.ts';
import { bool } from '../../flag.ts';
import { CLUSTER_FLAGS, clusterOf } from './cluster-flags.ts';
import { readManifestFiles } from './manifest-file.ts';

export const down = command({
  usage: '[OPTIONS] FILE|- [FILE...]',
  description:
    'Delete the objects of manifests from a cluster, the last first. Claims, and with them the data, stay unless --volumes is given.',
  flags: { ...CLUSTER_FLAGS, volumes: bool('Delete PersistentVolumeClaims, too', { short: 'v' }) },
  args: { min: 1 },
  complete: 'file',
  async run(cli, { flags, args }) {
    const manifests = await readManifestFiles(cli, args);
    const objects = new ClusterObjects(await clusterOf(cli, flags));
    for (const one of manifests.toReversed()) {
      const kept = one['kind'] === 'PersistentVolumeClaim' && !flags.volumes;
      const outcome = kept ? 'kept' : await objects.delete(one);
      cli.print(cli.clean(`${label(one)} ${outcome}`));
    }
    return 0;
  },
});
