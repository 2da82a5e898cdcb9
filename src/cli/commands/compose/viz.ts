import { graphText } from '../../../compose/project/graph.ts';
import { CommandError } from '../../command.ts';
import { bool, int } from '../../flag.ts';
import { composeCommand } from './context.ts';

export const viz = composeCommand({
  usage: '[OPTIONS]',
  examples: `# A picture of the project
gantry compose alpha viz --ports | dot -Tsvg > project.svg`,
  flags: {
    image: bool("Include service's image name in output graph"),
    'indentation-size': int('Number of tabs or spaces to use for indentation', { initial: 1 }),
    networks: bool("Include service's attached networks in output graph"),
    ports: bool("Include service's exposed ports in output graph"),
    spaces: bool("If given, space character ' ' will be used to indent, otherwise tab character '\\t' will be used"),
  },
  args: { min: 0, max: 0 },
  async run(compose, { flags }) {
    const { 'indentation-size': size, spaces, image, networks, ports } = flags;
    if (size < 0) throw new CommandError(`invalid indentation size: ${size}`);
    const indent = (spaces ? ' ' : '\t').repeat(size);
    compose.cli.print(graphText(await compose.project(), { image, networks, ports, indent }));
    return 0;
  },
});
