import { selectServices } from '../../../compose/project/project.ts';
import { CommandError } from '../../command.ts';
import { bool, bytes, map, string } from '../../flag.ts';
import { composeCommand } from './context.ts';
import { buildService, ensureImages, pullService } from './images.ts';

export const build = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    'build-arg': map('Set build-time variables for services'),
    memory: bytes('Set memory limit for the build container', { short: 'm' }),
    'no-cache': bool('Do not use cache when building the image'),
    pull: bool('Always attempt to pull a newer version of the image'),
    quiet: bool('Suppress the build output', { short: 'q' }),
    'with-dependencies': bool('Also build dependencies (transitively)'),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const project = compose.project(args);
    const services = selectServices(project, args, !flags['with-dependencies']);
    for (const service of services.values())
      if (service.builds)
        await buildService(compose, project, service, {
          noCache: flags['no-cache'],
          pull: flags.pull,
          args: flags['build-arg'],
          quiet: flags.quiet,
          memory: flags.memory,
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
    const project = compose.project(args);
    for (const [name, service] of selectServices(project, args, !flags['include-deps'])) {
      if (service.builds && (flags['ignore-buildable'] || service.model['image'] === undefined)) continue;
      try {
        if (flags.policy === 'missing')
          await ensureImages(compose, new Map([[name, service]]), {
            build: 'never',
            pull: 'missing',
            quietPull: flags.quiet,
            project,
          });
        else await pullService(compose, service, flags.quiet);
      } catch (error) {
        if (!flags['ignore-pull-failures'] && !service.builds) throw error;
        compose.warn(`${name}: ${(error as Error).message}`);
      }
    }
    return 0;
  },
});
