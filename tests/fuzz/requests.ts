/** Requests to the Engine API: any route with any query and any body, before an engine whose parts are fakes. */
import { mkdtempSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createContainer } from '../../src/engine/containers/create.ts';
import { fakeContext } from '../../src/engine/containers/fakes.ts';
import { listContainers } from '../../src/engine/containers/list.ts';
import { updateContainer } from '../../src/engine/containers/update.ts';
import { removeContainer } from '../../src/engine/containers/remove.ts';
import { routeTable } from '../../src/daemon/routes/table.ts';
import { fakeEngine, type Overrides } from '../../src/daemon/testing/fake-engine.ts';
import { TestServer } from '../../src/daemon/testing/http.ts';
import type { ContainerCreateRequest } from '../../src/api/container.ts';
import { EngineError } from '../../src/base/errors.ts';
import type { Target } from './target.ts';

const CREATE = {
  Image: 'busybox',
  Cmd: ['sh', '-c', 'x'],
  Env: ['A=b'],
  Labels: { a: 'b' },
  ExposedPorts: { '80/tcp': {} },
  Volumes: { '/v': {} },
  Healthcheck: { Test: ['CMD', 'true'], Interval: 1000000000, Retries: 1 },
  StopTimeout: 1,
  HostConfig: {
    Binds: ['/a:/b:ro'],
    Mounts: [{ Type: 'bind', Source: '/a', Target: '/b', BindOptions: { Propagation: 'rslave' } }],
    PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] },
    RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    Memory: 1e8,
    NanoCpus: 5e8,
    CpusetCpus: '0-1',
    Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }],
    Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/x', CgroupPermissions: 'rwm' }],
    CapAdd: ['NET_ADMIN'],
    SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'],
    Sysctls: { 'net.core.somaxconn': '1' },
    Tmpfs: { '/t': 'size=1m' },
    LogConfig: { Type: 'local', Config: { 'max-size': '1m' } },
    NetworkMode: 'bridge',
    UsernsMode: '',
    ExtraHosts: ['a:1.2.3.4'],
  },
  NetworkingConfig: { EndpointsConfig: { x: { Aliases: ['a'], IPAMConfig: { IPv4Address: '10.0.0.2' } } } },
};

/** A request line, then the body. */
const SEEDS = [
  `POST /v1.47/containers/create?name=web\n${JSON.stringify(CREATE)}`,
  `POST /v1.24/containers/create\n${JSON.stringify({ ...CREATE, HostConfig: { ...CREATE.HostConfig, Mounts: [] } })}`,
  'GET /containers/json?all=1&filters={"status":["running"],"label":["a=b"]}\n',
  'GET /v1.43/events?since=1&until=2&filters={"type":["container"]}\n',
  'GET /images/json?filters={"reference":["a*"],"until":["24h"]}\n',
  'POST /build?t=a&buildargs={"A":"b"}&labels={}&cachefrom=["x"]&ulimits=[]&memory=1\n',
  `POST /networks/create\n${JSON.stringify({ Name: 'n', IPAM: { Config: [{ Subnet: '10.0.0.0/8', Gateway: '10.0.0.1' }] }, Options: { a: 'b' } })}`,
  'POST /networks/n/connect\n{"Container":"c","EndpointConfig":{"Aliases":["x"]}}',
  'POST /volumes/create\n{"Name":"v","Driver":"local","DriverOpts":{"type":"tmpfs"},"Labels":{}}',
  'POST /containers/c/exec\n{"Cmd":["sh"],"Env":["a=b"],"User":"1:1","Tty":true,"ConsoleSize":[1,2]}',
  'POST /containers/c/update\n{"Memory":1,"RestartPolicy":{"Name":"always"}}',
  'GET /containers/c/logs?stdout=1&tail=10&since=1.5&follow=0\n',
  'PUT /containers/c/archive?path=/x&noOverwriteDirNonDir=1\nxxx',
  'POST /commit?container=c&repo=r&tag=t&changes=CMD%20x\n{"Cmd":["x"]}',
  'POST /auth\n{"username":"a","password":"b","serveraddress":"x"}',
];

export async function requestTarget(): Promise<Target> {
  const context = fakeContext({ dataRoot: mkdtempSync(join(tmpdir(), 'gantry-fuzz-api-')) });
  const server = await TestServer.start(
    refusing({
      containers: {
        async create(body: ContainerCreateRequest, options: { name?: string } = {}) {
          const made = await createContainer(context, body, options);
          await removeContainer(context, made.Id, {});
          return made;
        },
        list: (options) => listContainers(context, options ?? {}),
        update: (id, body) => updateContainer(context, id, body),
      },
    }),
  );
  const routes = routeTable(fakeEngine({}))
    .filter(({ hijacks }) => !hijacks)
    .map(({ method, path }) => `${method} ${path.replaceAll(/\{[^}]*\}/g, 'x')}`);
  return {
    name: 'requests',
    seeds: [...SEEDS, ...routes.map((route) => `${route}\n{}`)],
    pieces: [
      '?',
      '&',
      '=',
      '/v1.24',
      '/v1.99',
      'filters=',
      '{"a":["b"]}',
      '{',
      '}',
      '[',
      ']',
      'null',
      '%',
      '%2e%2e/',
      'name=',
      '\n',
      ...routes,
    ],
    read: (input) => ask(server.socketPath, input),
    close: async () => {
      await server[Symbol.asyncDispose]();
      await context.close();
    },
  };
}

/** What the parts do not have, they refuse. */
function refusing(parts: Overrides): Overrides {
  const refuse = (): never => {
    throw new EngineError('unimplemented', 'not here');
  };
  const empty = new Proxy(refuse, { get: () => refuse });
  return new Proxy(parts, {
    get: (_, service) =>
      new Proxy(
        {},
        { get: (__, method) => (Reflect.get(parts, service) as object | undefined)?.[method as never] ?? empty },
      ),
  });
}

/** Throws for an answer that says that something is broken. What cannot be said in HTTP is not asked. */
async function ask(socketPath: string, input: Buffer): Promise<void> {
  const end = input.indexOf(10);
  const line = input.subarray(0, end < 0 ? input.length : end).toString('latin1');
  const body = end < 0 ? Buffer.alloc(0) : input.subarray(end + 1);
  const [, method, path] =
    /^(GET|HEAD|POST|PUT|DELETE) (\/[!-~]*)$/.exec(line.replaceAll(/[^ -~]| (?=.* )/g, '%20')) ?? [];
  if (method === undefined || path === undefined) return;
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length, Connection: 'close' };
    const sent = request({ socketPath, method, path, headers, agent: false }, (response) => {
      let said = '';
      response.setEncoding('utf8').on('data', (data: string) => (said += data));
      response.once('end', () => resolve({ status: response.statusCode!, text: said }));
      response.once('error', reject);
    });
    sent.once('error', reject);
    sent.end(body);
  });
  if (status === 500) throw new Error(`${status} ${text}`);
  if (status >= 400) throw new EngineError('invalid-argument', text);
}
