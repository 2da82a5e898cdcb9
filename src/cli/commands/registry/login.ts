import type { AuthConfig } from '../../../api/auth.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { readLine } from '../../confirm.ts';
import { credentialsFor, storeCredentials } from '../../credentials.ts';
import { bool, string } from '../../flag.ts';
import { normalizeServer } from '../../options/server.ts';
import { readSecret } from '../../terminal/secret.ts';

export const login = command({
  usage: '[OPTIONS] [SERVER]',
  description: 'Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.',
  examples: `# The password is read from a file, and does not end up in the shell's history
gantry login -u me --password-stdin registry.example.com < password.txt`,
  flags: {
    password: string('Password or Personal Access Token (PAT)', { short: 'p' }),
    'password-stdin': bool('Take the Password or Personal Access Token (PAT) from stdin'),
    username: string('Username', { short: 'u' }),
  },
  args: { min: 0, max: 1 },
  async run(cli, { flags, args }) {
    const server = normalizeServer(args[0]);
    let { username, password } = flags;
    if (password !== '') {
      cli.warn('WARNING! Using --password via the CLI is insecure. Use --password-stdin.');
      if (flags['password-stdin']) throw new CommandError('--password and --password-stdin are mutually exclusive');
    }
    if (flags['password-stdin']) {
      if (username === '') throw new CommandError('the --password-stdin option requires --username to be set');
      let text = '';
      for await (const chunk of cli.io.stdin()) text += (chunk as Buffer).toString('utf8');
      password = text.replace(/\r?\n$/, '');
    }
    if (username === '' || password === '') {
      const kept = username === '' && password === '' ? await credentialsFor(cli, server) : {};
      if (kept.username !== undefined && kept.password !== undefined) {
        cli.print(`Authenticating with existing credentials... [Username: ${cli.clean(kept.username)}]`);
        try {
          return await finish(cli, server, kept);
        } catch {
          cli.warn('Login did not succeed with the existing credentials');
        }
      }
      if (!cli.io.stdinIsTTY)
        throw new CommandError('Error: Cannot perform an interactive login from a non TTY device');
      if (username === '') {
        cli.io.stdout.write('Username: ');
        username = ((await readLine(cli)) ?? '').trim();
      }
      if (username === '') throw new CommandError('Error: Non-null Username Required');
      if (password === '') password = await readSecret(cli, 'Password: ');
      if (password === '') throw new CommandError('Error: Password Required');
    }
    return finish(cli, server, { username, password, serveraddress: server });
  },
});

async function finish(cli: Cli, server: string, auth: AuthConfig): Promise<number> {
  const client = await cli.client();
  const { Status, IdentityToken } = await client.system.auth({ ...auth, serveraddress: server });
  const where = await storeCredentials(cli, server, IdentityToken ? { ...auth, identitytoken: IdentityToken } : auth);
  if (where === 'file') {
    cli.warn(
      `\nWARNING! Your credentials are stored unencrypted in '${cli.configDirectory}/config.json'.\nConfigure a credential helper to remove this warning.\n`,
    );
  }
  cli.print(Status);
  return 0;
}
