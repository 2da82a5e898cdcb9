import type { ContainerCreateRequest } from '../api/container.ts';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';
import { parseApiSocket } from './options/scope.ts';

/** Where a container finds the socket of its scope. The directory is mounted: the socket in it is another after a restart of the engine. */
const DIRECTORY = '/run/gantry-api';

/** `--api-socket`: the container gets the socket of a scope, and its clients the address. */
export async function shareScope(
  cli: Cli,
  request: ContainerCreateRequest,
  text: string,
): Promise<ContainerCreateRequest> {
  const wanted = parseApiSocket(text);
  const client = await cli.client();
  const scope =
    'request' in wanted
      ? await client.scopes.create(wanted.request)
      : (await client.scopes.list()).find(({ Name }) => Name === wanted.name);
  if (!scope) {
    throw new CommandError(
      `No such scope: ${text} (gantry scope create ${text}, or say what it is to allow: ro,project=NAME)`,
      125,
    );
  }
  const address = `unix://${DIRECTORY}/api.sock`;
  const host = request.HostConfig ?? {};
  const mount = { Type: 'bind', Source: scope.Directory, Target: DIRECTORY, ReadOnly: true } as const;
  return {
    ...request,
    Env: [...(request.Env ?? []), `DOCKER_HOST=${address}`, `GANTRY_HOST=${address}`],
    HostConfig: { ...host, Mounts: [...(host.Mounts ?? []), mount] },
  };
}
