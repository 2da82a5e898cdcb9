import { API_VERSION } from '../../../client/requester.ts';
import { command, CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { resolveTarget } from '../../engine-client.ts';
import { string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { compile, unescapeTemplate } from '../../output/rows.ts';
import { VERSIONS } from '../../template/document-shapes.ts';
import { decode } from '../../../template/go-value.ts';
import { goJson } from '../../../template/print.ts';
import { VERSION } from '../../../base/version.ts';

export const version = command({
  usage: '[OPTIONS]',
  flags: { format: string(INSPECT_FORMAT_HELP, { short: 'f' }) },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client: Record<string, string> = {
      Version: VERSION,
      ApiVersion: API_VERSION,
      DefaultAPIVersion: API_VERSION,
      NodeVersion: process.version,
      Os: process.platform,
      Arch: goArchitecture(),
      Context: resolveTarget(cli).context,
    };
    let server: Record<string, unknown> | undefined;
    let failure: unknown;
    try {
      const api = await cli.client();
      server = { ...(await api.system.version()) };
      client['ApiVersion'] = await api.apiVersion();
    } catch (error) {
      failure = error;
    }
    const data = { Client: client, Server: server ?? null };
    if (flags.format === 'json') cli.print(goJson(data));
    else if (flags.format !== '') {
      const template = compile(unescapeTemplate(flags.format));
      try {
        cli.print(cli.clean(template.execute(decode(data, VERSIONS))));
      } catch (error) {
        throw new CommandError(failure === undefined ? (error as Error).message : describeError(failure), 1, {
          cause: error,
        });
      }
    } else {
      cli.io.stdout.write(cli.clean(describe(client, server)));
    }
    if (failure !== undefined) throw new CommandError(describeError(failure));
    return 0;
  },
});

function describe(client: Record<string, string>, server: Record<string, unknown> | undefined): string {
  const line = (name: string, value: unknown, indent = 1): string =>
    `${' '.repeat(indent)}${`${name}:`.padEnd(20 - indent)}${String(value)}\n`;
  let text = `Client: Gantry\n${line('Version', client['Version'])}${line('API version', apiText(client))}${line('Node version', client['NodeVersion'])}${line('OS/Arch', `${client['Os']}/${client['Arch']}`)}${line('Context', client['Context'])}`;
  if (!server) return text;
  const platform = (server['Platform'] as { Name?: string } | undefined)?.Name;
  text += `\nServer:${platform ? ` ${platform}` : ''}\n`;
  const components =
    (server['Components'] as { Name: string; Version: string; Details?: Record<string, string> }[] | undefined) ?? [];
  text += ` Engine:\n${line('Version', server['Version'], 2)}`;
  text += line(
    'API version',
    `${String(server['ApiVersion'])} (minimum version ${String(server['MinAPIVersion'])})`,
    2,
  );
  text += line(String(server['GoVersion']).startsWith('go') ? 'Go version' : 'Runtime', server['GoVersion'], 2);
  text += `${line('Git commit', server['GitCommit'], 2)}${line('Built', buildTime(server['BuildTime']), 2)}`;
  text += `${line('OS/Arch', `${String(server['Os'])}/${String(server['Arch'])}`, 2)}${line('Experimental', server['Experimental'] ?? false, 2)}`;
  for (const component of components) {
    if (component.Name === 'Engine') continue;
    text += ` ${component.Name}:\n${line('Version', component.Version, 2)}`;
    if (component.Details?.['GitCommit'] !== undefined) text += line('GitCommit', component.Details['GitCommit'], 2);
  }
  return text;
}

function apiText(client: Record<string, string>): string {
  const { ApiVersion, DefaultAPIVersion } = client;
  return ApiVersion === DefaultAPIVersion ? ApiVersion! : `${ApiVersion} (downgraded from ${DefaultAPIVersion})`;
}

function buildTime(value: unknown): string {
  const text = typeof value === 'string' ? value : '';
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date.toUTCString();
}

function goArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}
