import type { Client } from '../../../client/client.ts';
import { asText } from '../../../compose/model/value.ts';
import { ImageIds } from '../../../compose/project/image-ids.ts';
import { all } from '../../../compose/project/parallel.ts';
import { selectServices, type Service } from '../../../compose/project/project.ts';
import { CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { type Compose, composeCommand } from './context.ts';
import { isStale } from './images.ts';
import { pullService, pushService } from './make-image.ts';

export const push = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    'ignore-push-failures': bool('Push what it can and ignores images with push failures'),
    'include-deps': bool('Also push images of services declared as dependencies'),
    quiet: bool('Push without printing progress information', { short: 'q' }),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const project = await compose.project(args);
    await all([...selectServices(project, args, !flags['include-deps']).values()], async (service) => {
      // What others built, or what has no name that a registry knows, is not pushed.
      if (!service.builds || service.model['image'] === undefined) {
        compose.onProgress({ kind: 'Image', name: service.image, status: 'Skipped' });
        return;
      }
      try {
        await pushService(compose, service, flags.quiet);
      } catch (error) {
        if (!flags['ignore-push-failures']) throw error;
        compose.warn(`${service.name}: ${(error as Error).message}`);
      }
    });
    return 0;
  },
});

export const pull = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    'ignore-buildable': bool('Ignore images that can be built'),
    'ignore-pull-failures': bool('Pull what it can and ignores images with pull failures'),
    'include-deps': bool('Also pull services declared as dependencies'),
    policy: string('Apply pull policy ("missing"|"always")', { complete: ['missing', 'always'] }),
    quiet: bool('Pull without printing progress information', { short: 'q' }),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    if (!['', 'missing', 'always'].includes(flags.policy))
      throw new CommandError(`invalid --policy ${JSON.stringify(flags.policy)}: use missing or always`);
    const project = await compose.project(args);
    const client = await compose.client();
    const ids = new ImageIds(client);
    const pulls = new Map<string, Promise<void>>();
    const toBuild: string[] = [];
    await all([...selectServices(project, args, !flags['include-deps']).values()], async (service) => {
      const skipped = await whySkipped(client, ids, service, flags.policy, flags['ignore-buildable']);
      if (skipped !== undefined) {
        compose.onProgress({ kind: 'Service', name: service.name, status: 'Skipped', reason: skipped });
        return;
      }
      // Services of one image share its pull.
      const key = `${service.image} ${asText(service.model['platform']) ?? ''}`;
      const pulled = pulls.get(key) ?? pullService(compose, service, flags.quiet);
      pulls.set(key, pulled);
      try {
        await pulled;
      } catch (error) {
        if (service.builds) toBuild.push(service.name);
        if (!flags['ignore-pull-failures']) throw error;
        compose.warn(`${service.name}: ${(error as Error).message}`);
      }
    }).finally(() => sayBuilds(compose, toBuild));
    return 0;
  },
});

/** Undefined for what is to be pulled. */
async function whySkipped(
  client: Client,
  ids: ImageIds,
  service: Service,
  policy: string,
  ignoreBuildable: boolean,
): Promise<string | undefined> {
  if (service.model['image'] === undefined) return 'it has no image to be pulled';
  if (service.builds && ignoreBuildable) return 'its image can be built';
  const wanted = policy || asText(service.model['pull_policy']) || 'always';
  if (wanted === 'never' || wanted === 'build') return `its pull policy is ${wanted}`;
  if ((await ids.get(service.image)) === undefined || (await isStale(client, service, wanted))) return undefined;
  return 'its image is here already';
}

function sayBuilds(compose: Compose, names: readonly string[]): void {
  if (names.length > 0) compose.warn(`some images must be built from source: gantry compose build ${names.join(' ')}`);
}
