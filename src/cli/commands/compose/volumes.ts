import { LABEL } from '../../../compose/project/labels.ts';
import { asDict, asList, asText, textOf } from '../../../compose/model/value.ts';
import { resource } from '../../../compose/project/project.ts';
import { CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { labelFields } from '../../output/labels.ts';
import { compareNatural } from '../../output/order.ts';
import { printRows } from '../../output/rows.ts';
import { composeCommand } from './context.ts';

export const volumes = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    format: string('Format output using a custom template: "table", "table TEMPLATE", "json", or a Go template'),
    quiet: bool('Only display volume names', { short: 'q' }),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const { name, project } = await compose.projectOrName(args);
    const client = await compose.client();
    const { Volumes: found } = await client.volumes.list(new Map([['label', [`${LABEL.project}=${name}`]]]));
    let wanted: Set<string> | undefined;
    if (args.length > 0) {
      wanted = new Set();
      for (const service of args) {
        const model = project?.services.get(service)?.model;
        if (!project || !model) throw new CommandError(`no such service: ${service}`);
        for (const mount of asList(model['volumes']).map(asDict))
          if (mount['type'] === 'volume' && asText(mount['source']) !== undefined)
            wanted.add(textOf(resource(project, 'volumes', textOf(mount['source']))['name']));
      }
    }
    printRows(
      compose.cli,
      {
        columns: ['Driver', 'Name'],
        headers: { Name: 'VOLUME NAME' },
        typeName: '*formatter.volumeContext',
        quiet: 'Name',
      },
      (found ?? [])
        .filter((volume) => wanted === undefined || wanted.has(volume.Name))
        .toSorted((a, b) => compareNatural(a.Name, b.Name))
        .map((volume) => ({
          Name: volume.Name,
          Driver: volume.Driver,
          Scope: volume.Scope,
          Mountpoint: volume.Mountpoint,
          ...labelFields(volume.Labels),
        })),
      { template: flags.format, quiet: flags.quiet },
    );
    return 0;
  },
});
