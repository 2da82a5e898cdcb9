import { command } from '../../command.ts';
import { DOCKER_HUB, eraseCredentials } from '../../credentials.ts';
import { normalizeServer } from '../../options/server.ts';

export const logout = command({
  usage: '[SERVER]',
  description: 'Log out from a registry.\nIf no server is specified, the default is Docker Hub.',
  flags: {},
  args: { min: 0, max: 1 },
  async run(cli, { args }) {
    const server = normalizeServer(args[0]);
    const shown = server === DOCKER_HUB ? DOCKER_HUB : server;
    const known = await eraseCredentials(cli, server);
    cli.print(known ? `Removing login credentials for ${shown}` : `Not logged in to ${shown}`);
    return 0;
  },
});
