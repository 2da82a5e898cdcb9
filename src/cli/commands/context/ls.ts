import { command } from '../../command.ts';
import { ContextStore, DEFAULT_CONTEXT } from '../../contexts.ts';
import { localHost, resolveTarget } from '../../engine-client.ts';
import { bool, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';

export const ls = command({
  usage: '[OPTIONS]',
  flags: {
    format: string(FORMAT_HELP),
    quiet: bool('Only show context names', { short: 'q' }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const current = resolveTarget(cli);
    const fromEnvironment = cli.env['GANTRY_HOST'] || cli.env['DOCKER_HOST'];
    const contexts = [
      {
        name: DEFAULT_CONTEXT,
        description: fromEnvironment ? 'Current DOCKER_HOST based configuration' : "This machine's own engine",
        host: current.context === DEFAULT_CONTEXT ? current.host : localHost(cli),
      },
      ...new ContextStore(cli.configDirectory).list().map((document) => ({
        name: document.Name,
        description: document.Metadata.Description ?? '',
        host: document.Endpoints.docker?.Host ?? '',
      })),
    ];
    printRows(
      cli,
      {
        columns: ['Marked', 'Description', 'DockerEndpoint', 'Error'],
        headers: { Marked: 'NAME', DockerEndpoint: 'DOCKER ENDPOINT' },
        typeName: '*formatter.clientContextContext',
        json: ['Current', 'Description', 'DockerEndpoint', 'Error', 'Name'],
        booleans: ['Current'],
        quiet: 'Name',
      },
      contexts.map(({ name, description, host }) => ({
        Name: name,
        Marked: name === current.context ? `${name} *` : name,
        Current: String(name === current.context),
        Description: description,
        DockerEndpoint: host,
        Error: '',
      })),
      { template: flags.format, quiet: flags.quiet },
    );
    if (fromEnvironment && !flags.quiet && flags.format === '') {
      cli.warn(
        'Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, or unset DOCKER_HOST environment variable.',
      );
    }
    return 0;
  },
});
