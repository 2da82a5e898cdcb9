import { command } from '../../command.ts';
import { eraseCredentials } from '../../credentials.ts';
import { normalizeServer } from '../../options/server.ts';

export const logout = command({
  usage: '[SERVER]',
  description: 'Log out from a registry.\nIf no server is specified, the default is Docker Hub.',
  flags: {},
  args: { min: 0, max: 1 },
  async run(cli, { args }) {
    const server = normalizeServer(args[0]);
    await eraseCredentials(cli, server);
    cli.print(`Removing login credentials for ${server}`);
    return 0;
  },
});
