import type { ContainerCreateRequest, HostConfig } from '../../src/api/container.ts';
import { errorMessage } from '../../src/base/errors.ts';
import type { Engine } from '../../src/index.ts';
import { printed } from './private-engine.ts';

type Request = Partial<ContainerCreateRequest>;

/** What `script` prints in a container of its own without a network, both streams together. */
export async function runScript(
  engine: Engine,
  script: string,
  hostConfig: HostConfig = {},
  more: Request = {},
): Promise<string> {
  const { containers } = engine;
  const { Id } = await containers.create({
    Image: 'busybox',
    Cmd: ['sh', '-c', `{ ${script}\n} 2>&1`],
    ...more,
    HostConfig: { NetworkMode: 'none', ...hostConfig },
  });
  try {
    const exit = await containers.wait(Id, 'next-exit');
    await containers.start(Id);
    await exit.outcome;
    const { output } = await containers.logs(Id, { stdout: true, stderr: true });
    return (await printed(output)).stdout.trim();
  } finally {
    await containers.remove(Id, { force: true, volumes: true });
  }
}

/** The same, or `refused: ` and why it was not made or did not start. */
export async function runOrRefusal(
  engine: Engine,
  script: string,
  hostConfig: HostConfig = {},
  more: Request = {},
): Promise<string> {
  try {
    return await runScript(engine, script, hostConfig, more);
  } catch (error) {
    return `refused: ${errorMessage(error)}`;
  }
}
