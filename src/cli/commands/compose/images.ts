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
  const ids = options.ids ?? new ImageIds(await compose.client());
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
    } else if (!present || policy === 'always') {
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
