import { asDict, textOf } from '../../../compose/model/value.ts';
import { down } from '../../../compose/project/down.ts';
import { CommandError } from '../../command.ts';
import { bool, int, string } from '../../flag.ts';
import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { composeCommand } from './context.ts';

export const downCommand = composeCommand({
  usage: '[OPTIONS] [SERVICES]',
  flags: {
    'remove-orphans': bool('Remove containers for services not defined in the Compose file'),
    rmi: string(
      'Remove images used by services. "local" remove only images that don\'t have a custom tag ("local"|"all")',
      { complete: ['local', 'all'] },
    ),
    ...TRASH_FLAG,
    timeout: int('Specify a shutdown timeout in seconds', { short: 't' }),
    volumes: bool(
      'Remove named volumes declared in the "volumes" section of the Compose file and anonymous volumes attached to containers',
      { short: 'v' },
    ),
  },
  args: { min: 0 },
  async run(compose, { flags, given, args }) {
    if (!['', 'local', 'all'].includes(flags.rmi))
      throw new CommandError(`invalid value for --rmi: ${JSON.stringify(flags.rmi)}`);
    const { name, project } = await compose.projectOrName(args);
    for (const service of args)
      if (project && !project.services.has(service)) throw new CommandError(`no such service: ${service}`);
    const external = Object.values(asDict(project?.model['volumes']))
      .map(asDict)
      .filter((volume) => volume['external'] === true);
    await down(await clientOf(() => compose.client(), flags), {
      project: name,
      services: project?.services,
      named: args.length === 0 ? undefined : new Set(args),
      volumes: flags.volumes,
      removeImages: flags.rmi as '' | 'local' | 'all',
      removeOrphans: flags['remove-orphans'],
      timeoutSeconds: given.has('timeout') ? flags.timeout : undefined,
      onProgress: compose.onProgress,
      providers: await compose.providers(project),
      externalVolumes: new Set(external.map((volume) => textOf(volume['name']))),
    });
    return 0;
  },
});
