import { command } from '../../command.ts';
import { list, string, strings } from '../../flag.ts';
import { progressFlag, progressForm, progressOutput } from '../../options/progress.ts';
import { showProgress } from '../../output/progress.ts';

export const bootstrap = command({
  usage: '[OPTIONS] DISTRIBUTION:SUITE[-slim]',
  description: `Make a base image from a distribution's packages, without a registry.

The engine fetches the packages from the machine's own package sources (or --mirror) and puts them together; the same
packages give the same digest. Without --tag the image is named after its base below gantry/.`,
  examples: `# A small Debian as gantry/debian:bookworm-slim
gantry image bootstrap debian:bookworm-slim

# With packages, under a name of your own
gantry image bootstrap debian:bookworm-slim --include nginx,curl -t web-base:1.0`,
  flags: {
    include: strings('Further packages'),
    mirror: string('Fetch packages from this address'),
    platform: string('Packages for another platform (linux/arm64): the machine has to run its programs'),
    progress: progressFlag,
    suite: string("Another suite of the distribution than the name's"),
    tag: list('Name and optionally a tag for the image (repeatable)', { short: 't' }),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    const form = progressForm(flags, cli.io.stderr);
    const client = await cli.client();
    let id = '';
    let tags: readonly string[] = [];
    await showProgress(
      progressOutput(form, cli.io.stderr),
      client.images.bootstrap({
        Base: args[0]!,
        ...(flags.include.length === 0 ? {} : { Include: flags.include }),
        ...(flags.suite === '' ? {} : { Suite: flags.suite }),
        ...(flags.mirror === '' ? {} : { Mirror: flags.mirror }),
        ...(flags.platform === '' ? {} : { Platform: flags.platform }),
        ...(flags.tag.length === 0 ? {} : { Tags: flags.tag }),
      }),
      {
        json: form === 'json',
        onAux: (aux) => {
          const result = aux as { ID: string; Tags?: readonly string[] };
          id = result.ID;
          tags = result.Tags ?? [];
        },
      },
    );
    cli.print(id);
    for (const tag of tags) cli.warn(`Tagged ${cli.clean(tag)}`);
    return 0;
  },
});
