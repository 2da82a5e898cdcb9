import { command, CommandError, UsageError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { readStream, writeStream } from '../../output/file.ts';
import { printRows } from '../../output/rows.ts';
import { humanSize } from '../../output/units.ts';

/** The directories of RUN --mount=type=cache, which otherwise nobody sees. */
export const cache = command({
  usage: 'ls | export ID | import ID [FILE] | rm ID [ID...]',
  examples: `# The caches that builds keep between them
gantry builder cache ls

# One of them to a file, and into the engine of another machine
gantry builder cache export -o npm.tar /root/.npm
gantry builder cache import /root/.npm npm.tar`,
  flags: {
    format: string(FORMAT_HELP),
    output: string('Write to a file, instead of STDOUT (export)', { short: 'o', complete: 'file' }),
    quiet: bool('Only display ids (ls)', { short: 'q' }),
  },
  args: { min: 1 },
  async run(cli, { flags, args }) {
    const [verb, ...rest] = args;
    const [id, file] = rest;
    const want = (ok: boolean, usage: string): void => {
      if (!ok) throw new CommandError(`gantry builder cache ${verb}: use it as \`gantry builder cache ${usage}\``);
    };
    switch (verb) {
      case 'ls': {
        want(rest.length === 0, 'ls');
        const found = await (await cli.client()).builder.cacheMounts();
        printRows(
          cli,
          { columns: ['ID', 'Size', 'InUse'], headers: { InUse: 'IN USE' }, typeName: '*cacheMount', quiet: 'ID' },
          found
            .toSorted((a, b) => (a.Id < b.Id ? -1 : 1))
            .map(({ Id, Size, InUse }) => ({ ID: Id, Size: humanSize(Size), InUse: String(InUse) })),
          { template: flags.format, quiet: flags.quiet },
        );
        return 0;
      }
      case 'export':
        want(rest.length === 1, 'export [-o FILE] ID');
        await writeStream(
          cli,
          flags.output,
          async () => (await cli.client()).builder.exportCacheMount(id!),
          'export',
          'volume',
        );
        return 0;
      case 'import': {
        want(rest.length === 1 || rest.length === 2, 'import ID [FILE]');
        const archive = readStream(cli, file ?? '-');
        cli.print((await (await cli.client()).builder.importCacheMount(id!, archive)).Id);
        return 0;
      }
      case 'rm': {
        want(rest.length > 0, 'rm ID [ID...]');
        const client = await cli.client();
        for (const one of rest) cli.print((await client.builder.removeCacheMount(one)).Id);
        return 0;
      }
      default:
        throw new UsageError(`unknown verb ${JSON.stringify(verb)}: use ls, export, import or rm`);
    }
  },
});
