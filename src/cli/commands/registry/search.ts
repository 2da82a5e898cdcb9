import { command } from '../../command.ts';
import { credentialsFor, DOCKER_HUB, encodeAuth } from '../../credentials.ts';
import { bool, filters, int, string } from '../../flag.ts';
import { printRows } from '../../output/rows.ts';
import { ellipsis } from '../../output/width.ts';

export const search = command({
  usage: '[OPTIONS] TERM',
  flags: {
    filter: filters('Filter output based on conditions provided', { short: 'f' }),
    format: string('Pretty-print search using a Go template'),
    limit: int('Max number of search results'),
    'no-trunc': bool("Don't truncate output"),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    const term = args[0]!;
    const slash = term.indexOf('/');
    const host = slash > 0 && /[.:]|^localhost$/.test(term.slice(0, slash)) ? term.slice(0, slash) : DOCKER_HUB;
    const client = await cli.client();
    const results = await client.images.search(term, {
      limit: (flags.limit ?? 0) > 0 ? flags.limit : undefined,
      filters: flags.filter,
      auth: encodeAuth(await credentialsFor(cli, host)),
    });
    // Docker has other words for it where it makes JSON.
    const asJson = /^json$|\{\{-?\s*json\s+\.\s*-?\}\}/.test((flags.format ?? '').trim());
    printRows(
      cli,
      {
        columns: ['Name', 'Description', 'StarCount', 'IsOfficial'],
        headers: { StarCount: 'STARS', IsOfficial: 'OFFICIAL', IsAutomated: 'AUTOMATED' },
        typeName: '*formatter.searchContext',
        json: ['Description', 'IsOfficial', 'Name', 'StarCount'],
      },
      results.map((result) => {
        const description = result.description.replaceAll(/[\r\n]/g, ' ');
        return {
          Name: result.name,
          Description: flags['no-trunc'] ? description : ellipsis(description, 45),
          StarCount: String(result.star_count),
          IsOfficial: asJson ? String(result.is_official) : result.is_official ? '[OK]' : '',
          IsAutomated: result.is_automated === true ? '[OK]' : '',
        };
      }),
      { template: flags.format, noTrunc: flags['no-trunc'] },
    );
    return 0;
  },
});
