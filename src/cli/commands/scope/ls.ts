import { command } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';
import { timeAgo } from '../../output/units.ts';

export const ls = command({
  usage: '[OPTIONS]',
  description: 'List scopes',
  flags: { format: string(FORMAT_HELP), quiet: bool('Only display names', { short: 'q' }) },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client = await cli.client();
    printRows(
      cli,
      {
        columns: ['Name', 'Access', 'Label', 'Images', 'Token', 'CreatedAt', 'Directory'],
        headers: { CreatedAt: 'CREATED' },
        typeName: '*formatter.scopeContext',
        quiet: 'Name',
      },
      (await client.scopes.list()).map((scope) => ({
        Name: scope.Name,
        Access: scope.ReadOnly ? 'read-only' : 'own',
        Label: scope.Label,
        Images: scope.Images.join(','),
        Token: scope.HasToken ? 'yes' : 'no',
        CreatedAt: timeAgo(Date.parse(scope.CreatedAt) / 1000),
        Directory: scope.Directory,
      })),
      { template: flags.format, quiet: flags.quiet },
    );
    return 0;
  },
});
