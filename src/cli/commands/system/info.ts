import { command, CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { resolveTarget } from '../../engine-client.ts';
import { string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { infoText } from '../../output/info-text.ts';
import { compile, unescapeTemplate } from '../../output/rows.ts';
import { INFO_NAMES } from '../../template/document-shapes.ts';
import { decode } from '../../../template/go-value.ts';
import { goJson } from '../../../template/print.ts';
import { VERSION } from '../../../base/version.ts';

export const info = command({
  usage: '[OPTIONS]',
  flags: { format: string(INSPECT_FORMAT_HELP, { short: 'f' }) },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    let server: Record<string, unknown> | undefined;
    let failure: unknown;
    try {
      server = await (await cli.client()).system.info();
    } catch (error) {
      failure = error;
    }
    const data = {
      ...server,
      ClientInfo: {
        Debug: cli.globals.debug,
        Context: resolveTarget(cli).context,
        Version: VERSION,
        Plugins: [],
        Warnings: null,
      },
      ...(failure === undefined ? {} : { ServerErrors: [describeError(failure)] }),
    };
    if (flags.format === 'json') cli.print(goJson(data));
    else if (flags.format !== '') {
      const template = compile(unescapeTemplate(flags.format));
      try {
        cli.print(cli.clean(template.execute(decode(data, INFO_NAMES))));
      } catch (error) {
        throw new CommandError(`template: ${(error as Error).message}`.replace('template: template:', 'template:'), 1, {
          cause: error,
        });
      }
    } else {
      cli.io.stdout.write(cli.clean(infoText(data, server)));
      for (const warning of (server?.['Warnings'] as string[] | null | undefined) ?? []) cli.warn(cli.clean(warning));
    }
    if (failure !== undefined) throw new CommandError(`ERROR: ${describeError(failure)}\nerrors pretty printing info`);
    return 0;
  },
});
