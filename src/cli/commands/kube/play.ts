import { errorCode } from '../../../base/errors.ts';
import { playObjects } from '../../../kube/play/objects.ts';
import { downPod, dropNetwork, KUBE_NETWORK, playPods } from '../../../kube/play/play.ts';
import { command } from '../../command.ts';
import { bool, list, string } from '../../flag.ts';
import { pullImage } from '../../pull-image.ts';
import { readManifestFiles } from './manifest-file.ts';

export const play = command({
  usage: '[OPTIONS] FILE|- [FILE...]',
  description:
    'Run the pods of Kubernetes manifests on this machine, without a cluster: Pods and workloads of one replica, with ConfigMaps, Secrets, claims and what Services publish.',
  examples: `# A pod, and what belongs to it
gantry kube play pod.yaml

# The same again after a change, and away with it
gantry kube play --replace pod.yaml
gantry kube play --down pod.yaml

# A Compose project's manifests, tried here before they go to a cluster
gantry compose convert --to kubernetes | gantry kube play -`,
  flags: {
    configmap: list('A file of ConfigMaps that the pods use', { complete: 'file' }),
    down: bool('Remove the pods of the file, with what was made for them'),
    force: bool('With --down: the volumes of claims, too'),
    network: string('Connect the pods to this network', { initial: KUBE_NETWORK, complete: 'network' }),
    quiet: bool('Suppress the pull output', { short: 'q' }),
    replace: bool('Remove pods that are there, and play them again'),
    start: bool('Start the pods', { initial: true }),
  },
  args: { min: 1 },
  complete: 'file',
  async run(cli, { flags, args }) {
    const warn = (message: string): void => cli.warn(cli.clean(`WARNING: ${message}`));
    const manifests = await readManifestFiles(cli, [...args, ...flags.configmap]);
    const objects = playObjects(manifests, flags.down ? () => {} : warn);
    const client = await cli.client();
    if (flags.down || flags.replace) {
      for (const { name } of objects.pods) {
        const removed = await downPod(client, name, {
          volumes: flags.down && flags.force,
          claims: [...objects.claims.keys()],
        });
        if (flags.down && removed) cli.print(cli.clean(name));
      }
      if (flags.down) {
        await dropNetwork(client);
        return 0;
      }
    }
    const pods = await playPods(client, objects, {
      network: flags.network,
      start: flags.start,
      warn,
      ensureImage: async (image, policy) => {
        const present = await client.images.inspect(image).then(
          () => true,
          (error: unknown) => {
            if (errorCode(error) !== 'not-found') throw error;
            return false;
          },
        );
        if (policy === 'Never' || (present && policy !== 'Always')) return;
        await pullImage(cli, image, { output: flags.quiet ? undefined : cli.io.stderr });
      },
    });
    for (const pod of pods) {
      cli.print(cli.clean(`Pod: ${pod.name}`));
      for (const id of pod.containers) cli.print(id);
    }
    return 0;
  },
});
