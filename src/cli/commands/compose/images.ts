import type { Client } from '../../../client/client.ts';
import { parseDuration } from '../../../compose/model/units.ts';
import { asText } from '../../../compose/model/value.ts';
import { ImageIds } from '../../../compose/project/image-ids.ts';
import { all } from '../../../compose/project/parallel.ts';
import type { Project, Service } from '../../../compose/project/project.ts';
import { CommandError } from '../../command.ts';
import type { Compose } from './context.ts';

interface EnsureOptions {
  readonly build: 'always' | 'never' | 'missing';
  readonly pull: string;
  readonly quietPull?: boolean;
  readonly quietBuild?: boolean;
  readonly project: Project;
  readonly ids?: ImageIds;
}

/** Makes the images ready that services need: pulled or built as their `pull_policy` says. True when something was. */
export async function ensureImages(
  compose: Compose,
  services: ReadonlyMap<string, Service>,
  options: EnsureOptions,
): Promise<boolean> {
  const client = await compose.client();
  const ids = options.ids ?? new ImageIds(client);
  const wanted = [...services.values()].filter((service) => service.replicas > 0);
  const builds: Service[] = [];
  const pulls = new Map<string, Service>();
  await all(wanted, async (service) => {
    const policy = options.pull || asText(service.model['pull_policy']) || '';
    const present = (await ids.get(service.image)) !== undefined;
    if (service.builds && (options.build === 'always' || policy === 'build' || (!present && policy !== 'always'))) {
      if (options.build === 'never')
        throw new CommandError(
          `service ${service.name}: the image ${service.image} is missing and --no-build was given`,
        );
      builds.push(service);
    } else if (!present || (await isStale(client, service, policy))) {
      if (policy === 'never')
        throw new CommandError(
          `service ${service.name}: the image ${service.image} is missing and its pull policy is never`,
        );
      pulls.set(service.image, service);
    }
  });
  if (builds.length === 0 && pulls.size === 0) return false;
  // What makes images is much code, and most commands need none of it.
  const [{ pullService }, { buildServices }] = await Promise.all([
    import('./make-image.ts'),
    import('./build-service.ts'),
  ]);
  await all([...pulls.values()], async (service) => {
    try {
      await pullService(compose, service, options.quietPull === true);
    } catch (error) {
      if (!service.builds) throw error;
      builds.push(service);
    }
  });
  const toBuild = wanted.filter((one) => builds.includes(one));
  const built = await buildServices(compose, options.project, toBuild, {
    quiet: options.quietBuild === true,
    toRun: true,
  });
  for (const service of [...wanted, ...built]) ids.forget(service.image);
  return true;
}

/** Whether an image that is here is to be pulled all the same: its policy is always, or it was pulled too long ago. */
export async function isStale(client: Client, service: Service, policy: string): Promise<boolean> {
  if (policy === 'always') return true;
  const longest = refreshSeconds(policy, asText(service.model['pull_refresh_after']));
  if (longest === undefined) return false;
  const { Metadata: metadata } = await client.images.inspect(service.image);
  return !((Date.now() - Date.parse(metadata.LastTagTime)) / 1000 <= longest);
}

/** Of `daily`, `weekly`, `every_<duration>`, `refresh`; undefined for other policies. */
function refreshSeconds(policy: string, after: string | undefined): number | undefined {
  if (policy === 'daily') return 24 * 3600;
  if (policy === 'weekly') return 7 * 24 * 3600;
  const duration = policy === 'refresh' ? after : /^every_(.*)$/.exec(policy)?.[1];
  return duration === undefined ? undefined : parseDuration(duration) / 1e9;
}
