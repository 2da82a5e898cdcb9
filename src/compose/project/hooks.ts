import { EngineError } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { collect } from '../../client/query.ts';
import { asDict, asList, asText, asTexts, type Dict } from '../model/value.ts';
import { environmentOf } from './container-request.ts';
import type { Service } from './project.ts';

/** Runs a service's `post_start` or `pre_stop` commands in a container, one after the other. Throws when one fails. */
export async function runHooks(
  client: Client,
  service: Service,
  kind: 'post_start' | 'pre_stop',
  container: string,
): Promise<void> {
  for (const hook of asList(service.model[kind]).map(asDict))
    await runHook(client, container, hook, `${kind} hook of ${service.name}`);
}

/** Runs one command (`command`, `user`, `privileged`, `working_dir`, `environment`) in a container. Throws when it fails, with what it printed last. */
export async function runHook(client: Client, container: string, hook: Dict, what: string): Promise<void> {
  const { Id: id } = await client.execs.create(container, {
    AttachStdout: true,
    AttachStderr: true,
    Tty: true, // one stream of plain text
    User: asText(hook['user']) ?? '',
    Privileged: hook['privileged'] === true,
    WorkingDir: asText(hook['working_dir']) ?? '',
    Env: environmentOf(asDict(hook['environment'])),
    Cmd: asTexts(hook['command']),
  });
  const stream = await client.execs.start(id, { Tty: true });
  const printed = await collect(stream.output);
  stream.close();
  const { ExitCode: code } = await client.execs.inspect(id);
  if (code === 0) return;
  const last = printed.toString('utf8').trim().split('\n').at(-1) ?? '';
  throw new EngineError(
    'internal',
    `${what} exited with status code ${code ?? -1}${last === '' ? '' : `: ${last.trim()}`}`,
  );
}
