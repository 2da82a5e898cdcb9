import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { conformanceTests, DOCKER_REGISTRY_2_8 } from './conformance.ts';
import { controlProgram } from './control.ts';
import { TestRegistry } from './test-registry.ts';

let ours: TestRegistry;
before(async () => void (ours = await TestRegistry.open()));
after(() => ours[Symbol.asyncDispose]());
conformanceTests('gantry', () => ({ url: `http://${ours.host}` }));

// The control of these tests: where Debian's docker-registry is installed, it must pass all but its own known deviations.
const control = controlProgram;
if (control !== undefined) {
  let url = '';
  let stop = async (): Promise<void> => {};
  before(async () => {
    const root = await mkdtemp(join(tmpdir(), 'gantry-control-'));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const config = join(root, 'config.yml');
    await writeFile(
      config,
      `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${root}/data}, delete: {enabled: true}}
http: {addr: 127.0.0.1:${port}}
`,
    );
    const child = spawn(control, ['serve', config], { stdio: 'ignore' });
    stop = async () => {
      child.kill('SIGKILL');
      await rm(root, { recursive: true });
    };
    for (let tries = 0; tries < 100 && !(await answers(url)); tries++) await sleep(50);
  });
  after(() => stop());
  conformanceTests('docker-registry', () => ({ url }), DOCKER_REGISTRY_2_8);
}

async function answers(url: string): Promise<boolean> {
  return fetch(`${url}/v2/`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
