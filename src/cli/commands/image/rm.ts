import { ResponseError } from '../../../client/response-error.ts';
import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command, CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { bool, strings } from '../../flag.ts';
import { platformJson } from '../../options/platform.ts';

export const rm = command({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: {
    force: bool('Force removal of the image', { short: 'f' }),
    'no-prune': bool('Do not delete untagged parents'),
    platform: strings(
      'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")',
    ),
    ...TRASH_FLAG,
  },
  args: { min: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const client = await clientOf(() => cli.client(), flags);
    const failures: string[] = [];
    let fatal = false;
    for (const name of args) {
      try {
        const items = await client.images.remove(name, {
          force: flags.force,
          noPrune: flags['no-prune'],
          platforms: flags.platform.map((item) => platformJson(item)!),
        });
        for (const item of items) {
          if (item.Deleted) cli.print(`Deleted: ${item.Deleted}`);
          else cli.print(`Untagged: ${cli.clean(item.Untagged ?? '')}`);
        }
      } catch (error) {
        failures.push(describeError(error));
        if (!(error instanceof ResponseError && error.status === 404)) fatal = true;
      }
    }
    if (failures.length === 0) return 0;
    if (fatal || !flags.force) throw new CommandError(failures.join('\n'));
    for (const failure of failures) cli.warn(failure); // with --force, what is not there is no failure
    return 0;
  },
});
