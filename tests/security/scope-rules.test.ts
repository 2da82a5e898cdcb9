import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ContainerCreateRequest } from '../../src/api/container.ts';
import type { ScopeCreateRequest } from '../../src/api/scope.ts';
import { type EngineError, notFound } from '../../src/base/errors.ts';
import type { EngineServices } from '../../src/engine/engine.ts';
import { Scopes } from '../../src/engine/scopes/scopes.ts';
import { Database } from '../../src/state/database.ts';
import { ScopeStore } from '../../src/state/scopes.ts';
import { createLogger } from '../../src/daemon/log.ts';
import { routeTable } from '../../src/daemon/routes/table.ts';
import { ApiServer } from '../../src/daemon/server.ts';
import { fakeEngine } from '../../src/daemon/testing/fake-engine.ts';
import { ScopeDoors } from '../../src/daemon/scope/scope-doors.ts';
import { CHANGING, LOOKING, scopedRoutes } from '../../src/daemon/scope/scope-routes.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-scope-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const PROJECT = 'com.docker.compose.project';
const id = (letter: string): string => letter.repeat(64);

interface Thing {
  readonly id: string;
  readonly labels: Record<string, string>;
}

const CONTAINERS: Record<string, Thing> = {
  mine: { id: id('a'), labels: { 'gantry.scope': 'ci' } },
  'shop-web': { id: id('b'), labels: { [PROJECT]: 'shop' } },
  'shop-made': { id: id('c'), labels: { [PROJECT]: 'shop', 'gantry.scope': 'shop' } },
  foreign: { id: id('d'), labels: {} },
};
const NETWORKS: Record<string, Thing> = {
  bridge: { id: id('1'), labels: {} },
  host: { id: id('2'), labels: {} },
  mynet: { id: id('3'), labels: { 'gantry.scope': 'ci' } },
  shopnet: { id: id('4'), labels: { [PROJECT]: 'shop' } },
};
const VOLUMES: Record<string, Thing & { readonly options?: Record<string, string> }> = {
  mydata: { id: '', labels: { 'gantry.scope': 'ci' } },
  shopdata: { id: '', labels: { [PROJECT]: 'shop' } },
  shoproot: { id: '', labels: { [PROJECT]: 'shop' }, options: { type: 'none', o: 'bind', device: '/' } },
  root: { id: '', labels: {}, options: { type: 'none', o: 'bind', device: '/' } },
};

/** What reached the engine: `containers.stop aaaa`. */
class Reached {
  readonly calls: { readonly name: string; readonly args: readonly unknown[] }[] = [];

  take(): string[] {
    return this.calls
      .splice(0)
      .map(({ name, args }) => `${name}${typeof args[0] === 'string' ? ` ${args[0].slice(0, 4)}` : ''}`);
  }
}

/** An engine with the things above, that notes what it was asked to do. Looking something up to judge it is not noted. */
function engineOf(reached: Reached, scopes: Scopes): EngineServices {
  const find = <T extends Thing>(things: Record<string, T>, kind: string, name: string): [string, T] => {
    const found = Object.entries(things).find(([key, thing]) => key === name || thing.id === name);
    if (!found) throw notFound(kind, name);
    return found;
  };
  const known = {
    containers: {
      inspect: async (name: string) => {
        const [key, thing] = find(CONTAINERS, 'container', name);
        return { Id: thing.id, Name: `/${key}`, Config: { Labels: thing.labels } };
      },
    },
    execs: {
      inspect: async (name: string) => {
        if (name === 'mineexec') return { ID: name, ContainerID: id('a'), OpenStdin: false };
        if (name === 'foreignexec') return { ID: name, ContainerID: id('d'), OpenStdin: false };
        throw notFound('exec instance', name);
      },
    },
    networks: {
      inspect: async (name: string) => {
        const [key, thing] = find(NETWORKS, 'network', name);
        return { Id: thing.id, Name: key, Labels: thing.labels };
      },
    },
    volumes: {
      inspect: async (name: string) => {
        const [key, { labels, options }] = find(VOLUMES, 'volume', name);
        return { Name: key, Driver: 'local', Labels: labels, Options: options ?? null };
      },
      create: async (request: { Name?: string; Labels?: Record<string, string> }) => {
        const name = request.Name || randomUUID();
        VOLUMES[name] ??= { id: '', labels: request.Labels ?? {} };
        return { Name: name, Driver: 'local', Labels: VOLUMES[name].labels, Options: null };
      },
    },
    images: {
      inspect: async (name: string) => {
        if (name === 'cafe') return { Id: `sha256:${id('f')}`, RepoTags: ['secret:1'], RepoDigests: [] };
        if (/^(node|secret)(:|$)/.test(name))
          return { Id: `sha256:${id('e')}`, RepoTags: [name.includes(':') ? name : `${name}:latest`], RepoDigests: [] };
        throw notFound('image', name);
      },
    },
    events: {
      subscribe: (options: { filters?: ReadonlyMap<string, readonly string[]> }) => {
        reached.calls.push({ name: 'events.subscribe', args: [[...(options.filters ?? [])].join(' ')] });
        return (async function* () {})();
      },
    },
  } as unknown as Parameters<typeof fakeEngine>[0];
  const inner = fakeEngine(known);
  return new Proxy(inner, {
    get: (_, service: string) =>
      service === 'scopes'
        ? scopes
        : new Proxy(Reflect.get(inner, service) as object, {
            get: (methods, method: string) => {
              const own = (known as Record<string, Record<string, unknown> | undefined>)[service]?.[method];
              if (own && !(service === 'volumes' && method === 'create')) return own;
              return (...args: unknown[]) => {
                reached.calls.push({ name: `${service}.${method}`, args });
                return (Reflect.get(methods, method) as (...args: unknown[]) => unknown)(...args);
              };
            },
          }),
  });
}

class Daemon implements AsyncDisposable {
  readonly reached = new Reached();
  readonly audit: { scope: string; decision: string; path: string; status: number; method: string; from: unknown }[] =
    [];
  readonly raw: string[] = [];
  readonly doors: ScopeDoors;
  readonly socket: string;
  readonly tokensOnly: string;
  readonly #server: ApiServer;
  readonly #db: Database;

  private constructor(parts: { doors: ScopeDoors; socket: string; server: ApiServer; db: Database; raw: string[] }) {
    this.doors = parts.doors;
    this.socket = parts.socket;
    this.tokensOnly = `${parts.socket}.tokens`;
    this.#server = parts.server;
    this.#db = parts.db;
    this.raw = parts.raw;
  }

  static async start(scopes: readonly ScopeCreateRequest[]): Promise<Daemon> {
    const root = mkdtempSync(join(directory, 'd-'));
    const db = Database.open(join(root, 'state.db'));
    const reached = new Reached();
    const log = createLogger({ level: 'fatal' });
    const engine = engineOf(reached, new Scopes(new ScopeStore(db), root));
    const doors = new ScopeDoors(engine, log);
    const raw: string[] = [];
    const server = new ApiServer({
      routes: routeTable(engine, undefined, doors),
      product: 'Gantry/test (linux)',
      log,
      tokens: (token) => doors.byToken(token),
      audit: (line) => raw.push(line),
      http2: (socket) => socket.end('h2 is open'),
    });
    await doors.open(server);
    for (const scope of scopes) await doors.create(scope);
    const socket = join(root, 'main.sock');
    await new Promise<void>((resolve) => server.server({ plainTcp: false, hostNames: [] }).listen(socket, resolve));
    await new Promise<void>((resolve) =>
      server.server({ plainTcp: false, hostNames: [], tokensOnly: true }).listen(`${socket}.tokens`, resolve),
    );
    const daemon = new Daemon({ doors, socket, server, db, raw });
    Object.assign(daemon, { reached });
    return daemon;
  }

  socketOf(name: string): string {
    return join(this.doors.list().find(({ Name }) => Name === name)!.Directory, 'api.sock');
  }

  call(
    socketPath: string,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest({ socketPath, method, path, headers, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('error', () => resolve({ status: response.statusCode!, text }));
        response.on('end', () => resolve({ status: response.statusCode!, text }));
      });
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  lines(): string[] {
    return this.raw.splice(0).map((line) => {
      const { scope, method, path, decision, status } = JSON.parse(line) as (typeof this.audit)[number];
      return `${scope} ${method} ${path} ${decision} ${status}`;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close(200);
    this.#db.close();
  }
}

const WATCH: ScopeCreateRequest = { Name: 'watch', ReadOnly: true };
const CI: ScopeCreateRequest = { Name: 'ci', Token: true };
const SHOP: ScopeCreateRequest = { Name: 'shop', Label: `${PROJECT}=shop` };
const FRONT: ScopeCreateRequest = { Name: 'front', ReadOnly: true, Label: `${PROJECT}=shop` };

/** Others refuse one, or leave it. */
function takesBody(method: string, path: string): boolean {
  return method !== 'GET' && method !== 'HEAD' && /connect|exec|update|ports|archive/.test(path);
}

/** A path for a route, with a name in the place of its parameters. */
function pathOf(path: string, name: string): string {
  return path.replace(/\{\w+\}/g, name);
}

test('every endpoint, for each kind of scope: what is not in its list is refused, also one that is new', async () => {
  await using daemon = await Daemon.start([WATCH, CI, SHOP, FRONT]);
  const routes = routeTable(fakeEngine(), undefined, daemon.doors);
  const names = routes.map(({ method, path }) => `${method} ${path}`);
  // The lists name endpoints that there are, and nothing is in both.
  for (const listed of [...LOOKING, ...CHANGING]) assert.ok(names.includes(listed), `${listed} is no endpoint`);
  assert.deepEqual(
    [...LOOKING].filter((one) => CHANGING.has(one)),
    [],
  );
  // Those that must never be in one, by name: a change of the lists is a change of this test.
  const never =
    /build|session|grpc|commit|secrets|registries|scopes|plugins|swarm|auth$|images\/(load|get|prune|search|\{name\}\/(push|tag|get))|DELETE \/images|df$|distribution|fsck|bootstrap|trash|undo|checkpoints|configs|services|tasks|nodes|dns|rename.*volumes|clone|snapshot/;
  for (const listed of [...LOOKING, ...CHANGING]) assert.doesNotMatch(listed, never);
  for (const listed of LOOKING) assert.match(listed, /^(GET|HEAD) |\/wait$/);
  let refused = 0;
  for (const { method, path } of routes) {
    const name = `${method} ${path}`;
    for (const scope of ['watch', 'ci', 'shop', 'front']) {
      const open = LOOKING.has(name) || (CHANGING.has(name) && ['ci', 'shop'].includes(scope));
      if (open) continue;
      daemon.reached.take();
      const { status, text } = await daemon.call(daemon.socketOf(scope), method, `/v1.51${pathOf(path, 'mine')}`);
      assert.ok([403, 404].includes(status), `${scope}: ${name}: ${status} ${text}`);
      assert.deepEqual(daemon.reached.take(), [], `${scope}: ${name} reached the engine`);
      refused++;
    }
  }
  assert.ok(refused > 300, `${refused}`);
  const lines = daemon.lines();
  assert.equal(lines.length, refused);
  // A name with slashes in it may be that of a container, by an endpoint that is open; there is none.
  for (const line of lines) assert.match(line, / denied (403|404)$|\/containers\/mine\/\S+ allowed 404$/);
  // What somebody adds tomorrow.
  let ran = false;
  const added = scopedRoutes({ Name: 'ci', ReadOnly: false }, [
    { method: 'GET', path: '/containers/{id}/new', handle: async () => void (ran = true) },
  ]);
  await assert.rejects(added[0]!.handle(undefined as never), { code: 'forbidden' });
  assert.equal(ran, false);
});

test('every endpoint with an object: another’s is not there, and no method of the engine is reached for it', async () => {
  await using daemon = await Daemon.start([WATCH, CI, SHOP, FRONT]);
  const objects: Record<string, string> = {
    containers: 'foreign',
    exec: 'foreignexec',
    networks: 'host',
    volumes: 'root',
  };
  const body = { Container: 'mine', Cmd: ['x'], Detach: true };
  for (const name of [...LOOKING, ...CHANGING]) {
    const [method, path] = name.split(' ') as [string, string];
    const kind = /^(?:\/gantry)?\/(\w+)\/\{/.exec(path)?.[1];
    if (kind === undefined || !Object.hasOwn(objects, kind)) continue;
    for (const scope of LOOKING.has(name) ? ['ci', 'shop', 'front'] : ['ci', 'shop']) {
      daemon.reached.take();
      const query = '?path=/etc&stdout=1&name=new&h=1&w=1&signal=KILL';
      const url = `/v1.51${pathOf(path, objects[kind]!)}${query}`;
      const upgrade = /attach|exec\/\{id\}\/start/.test(path) ? { connection: 'Upgrade', upgrade: 'tcp' } : {};
      const { status, text } = await daemon.call(
        daemon.socketOf(scope),
        method,
        url,
        takesBody(method, path) ? body : undefined,
        upgrade as Record<string, string>,
      );
      assert.ok([403, 404].includes(status), `${scope}: ${name}: ${status} ${text}`);
      assert.deepEqual(daemon.reached.take(), [], `${scope}: ${name} reached the engine`);
    }
  }
  for (const line of daemon.lines()) assert.match(line, / denied (403|404)$/);
});

test('its own is reached, by its id; a project’s other containers are seen and stopped, and not entered', async () => {
  await using daemon = await Daemon.start([WATCH, CI, SHOP, FRONT]);
  const { reached } = daemon;
  const call = async (scope: string, method: string, path: string, body?: unknown): Promise<string> => {
    reached.take();
    const { status, text } = await daemon.call(daemon.socketOf(scope), method, `/v1.51${path}`, body);
    const calls = reached.take();
    return calls.length > 0 ? calls.join(', ') : `${status} ${/"message":"([^"]*)/.exec(text)?.[1] ?? ''}`.trim();
  };
  assert.equal(await call('ci', 'POST', '/containers/mine/start'), 'containers.start aaaa');
  assert.equal(await call('ci', 'PUT', '/containers/mine/archive?path=/', {}), 'containers.archivePut aaaa');
  assert.equal(await call('ci', 'POST', '/containers/mine/exec', { Cmd: ['sh'] }), 'execs.create aaaa');
  assert.match(
    await call('ci', 'POST', '/containers/mine/exec', { Cmd: ['sh'], Privileged: true }),
    /^403 .*privileged/,
  );
  const secrets = [{ SecretName: 'key', Env: 'KEY' }];
  assert.match(await call('ci', 'POST', '/containers/mine/exec', { Cmd: ['sh'], Secrets: secrets }), /^403 .*secrets/);
  assert.equal(await call('ci', 'POST', '/exec/mineexec/start', { Detach: true }), 'execs.startDetached mine');
  for (const hostile of [{ Privileged: true }, { Devices: [{ PathOnHost: '/dev/sda' }] }, { CgroupParent: '/' }]) {
    assert.match(await call('ci', 'POST', '/containers/mine/update', hostile), /^(403|containers\.update aaaa)/);
  }
  assert.match(await call('ci', 'POST', '/containers/mine/update', { Devices: [{ PathOnHost: '/dev/sda' }] }), /^403/);
  // of the project, made by somebody else
  assert.equal(await call('shop', 'GET', '/containers/shop-web/logs?stdout=1'), 'containers.logs bbbb');
  assert.equal(await call('shop', 'POST', '/containers/shop-web/stop'), 'containers.stop bbbb');
  for (const [method, path] of [
    ['POST', 'exec'],
    ['POST', 'attach?stdin=1&stream=1'],
    ['GET', 'archive?path=/'],
    ['PUT', 'archive?path=/'],
    ['GET', 'export'],
    ['POST', 'update'],
    ['POST', 'rename?name=x'],
  ] as const) {
    assert.match(
      await call('shop', method, `/containers/shop-web/${path}`, method === 'GET' ? undefined : { Cmd: ['sh'] }),
      /^403 shop-web was not made through the scope shop/,
      path,
    );
  }
  assert.equal(await call('shop', 'POST', '/containers/shop-made/exec', { Cmd: ['sh'] }), 'execs.create cccc');
  // Looking changes nothing, and sees everything or its project.
  assert.match(await call('watch', 'POST', '/containers/mine/stop'), /^403 .* is not for the scope watch/);
  assert.equal(await call('watch', 'GET', '/containers/foreign/logs?stdout=1'), 'containers.logs dddd');
  assert.match(await call('front', 'GET', '/containers/foreign/logs?stdout=1'), /^404 No such container: foreign$/);
  // Lists, prunes and events are narrowed whatever was asked for.
  const filters = encodeURIComponent(JSON.stringify({ label: ['a=b'] }));
  for (const [method, path, name] of [
    ['GET', '/containers/json', 'containers.list'],
    ['POST', '/containers/prune', 'containers.prune'],
    ['GET', '/networks', 'networks.list'],
    ['POST', '/networks/prune', 'networks.prune'],
    ['GET', '/volumes', 'volumes.list'],
    ['POST', '/volumes/prune', 'volumes.prune'],
  ] as const) {
    reached.take();
    await daemon.call(daemon.socketOf('shop'), method, `/v1.51${path}?filters=${filters}`);
    const [called] = reached.calls.splice(0);
    assert.equal(called?.name, name);
    const [first] = called.args as [Map<string, string[]> | { filters: Map<string, string[]> }];
    const given = first instanceof Map ? first : first.filters;
    assert.deepEqual(given.get('label'), ['a=b', `${PROJECT}=shop`], name);
  }
  assert.equal(await call('shop', 'GET', '/events?until=1'), `events.subscribe type`);
  reached.take();
  await daemon.call(daemon.socketOf('shop'), 'GET', `/v1.51/events?until=1`);
  assert.equal(reached.calls.splice(0)[0]!.args[0], `type,container label,${PROJECT}=shop`);
  const images = encodeURIComponent(JSON.stringify({ type: ['image'] }));
  assert.match(await call('shop', 'GET', `/events?until=1&filters=${images}`), /^403/);
});

test('what is made through a scope reaches nothing of the host, and is marked', async () => {
  await using daemon = await Daemon.start([{ ...CI, Images: ['node', 'ghcr.io/team/*:v*'] }, SHOP]);
  const { reached } = daemon;
  const create = async (
    host: Record<string, unknown>,
    more: Record<string, unknown> = {},
    scope = 'ci',
  ): Promise<ContainerCreateRequest | string> => {
    reached.take();
    const body = { Image: 'node:20', Cmd: ['x'], ...more, HostConfig: host };
    const { status, text } = await daemon.call(daemon.socketOf(scope), 'POST', '/v1.51/containers/create', body);
    const made = reached.calls.splice(0).find(({ name }) => name === 'containers.create');
    return made ? (made.args[0] as ContainerCreateRequest) : `${status} ${text}`;
  };
  const hostile: Record<string, unknown>[] = [
    { Privileged: true },
    { Binds: ['/:/host'] },
    { Binds: ['/etc/passwd:/x:ro'] },
    { Binds: ['../x:/y'] },
    { Binds: ['.:/y'] },
    { Binds: ['/data'] },
    { Binds: ['root:/x'] },
    { Binds: ['shopdata:/x'] },
    { Mounts: [{ Type: 'bind', Source: '/', Target: '/host' }] },
    { Mounts: [{ Type: 'volume', Source: '/', Target: '/host' }] },
    { Mounts: [{ Type: 'volume', Source: 'root', Target: '/host' }] },
    {
      Mounts: [
        { Type: 'volume', Target: '/x', VolumeOptions: { DriverConfig: { Options: { device: '/', o: 'bind' } } } },
      ],
    },
    { Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { DriverConfig: { Name: 'nfs' } } }] },
    { Mounts: [{ Type: 'image', Source: 'secret:1', Target: '/x' }] },
    { Mounts: [{ Type: 'npipe', Source: 'x', Target: '/x' }] },
    { VolumesFrom: ['foreign'] },
    { NetworkMode: 'host' },
    { NetworkMode: id('2') },
    { NetworkMode: 'container:foreign' },
    { NetworkMode: 'shopnet' },
    { PidMode: 'host' },
    { PidMode: 'container:foreign' },
    { IpcMode: 'host' },
    { IpcMode: 'container:foreign' },
    { UTSMode: 'host' },
    { UsernsMode: 'host' },
    { CgroupnsMode: 'host' },
    { Cgroup: 'foreign' },
    { CgroupParent: '/' },
    { Devices: [{ PathOnHost: '/dev/sda', PathInContainer: '/dev/sda', CgroupPermissions: 'rwm' }] },
    { DeviceCgroupRules: ['a *:* rwm'] },
    { DeviceRequests: [{ Count: -1, Capabilities: [['gpu']] }] },
    { CapAdd: ['SYS_ADMIN'] },
    { CapAdd: ['all'] },
    { SecurityOpt: ['seccomp=unconfined'] },
    { SecurityOpt: ['systempaths=unconfined'] },
    { SecurityOpt: ['no-new-privileges=false'] },
    { MaskedPaths: [] },
    { ReadonlyPaths: [] },
    { Runtime: 'other' },
    { Annotations: { 'run.oci.handler': 'wasm' } },
    { Secrets: [{ SecretName: 'key', SecretID: 'x', File: { Name: 'key' } }] },
    { Links: ['foreign:db'] },
    { OomScoreAdj: -1000 },
    { LogConfig: { Type: 'syslog', Config: { 'syslog-address': 'unix:///run/secret.sock' } } },
    { VolumeDriver: 'other' },
    { BlkioDeviceReadBps: [{ Path: '/dev/sda', Rate: 1 }] },
  ];
  for (const host of hostile) {
    const made = await create(host);
    assert.ok(typeof made === 'string' && /^(403|404) /.test(made), `${JSON.stringify(host)}: ${JSON.stringify(made)}`);
  }
  const others: Record<string, unknown>[] = [
    { Image: 'secret:1' },
    { Image: 'cafe' },
    { Image: `sha256:${id('f')}` },
    { Image: id('f') },
    { Image: 'ghcr.io/other/app:v1' },
    { Labels: { 'gantry.scope': 'shop' } },
    { Labels: { [PROJECT]: 'shop' } },
    { NetworkingConfig: { EndpointsConfig: { host: {} } } },
    { NetworkingConfig: { EndpointsConfig: { mynet: { Links: ['foreign:x'] } } } },
    { NetworkingConfig: { EndpointsConfig: { mynet: { DriverOpts: { x: 'y' } } } } },
  ];
  for (const more of others) {
    const made = await create({}, more);
    assert.ok(typeof made === 'string' && /^(403|404) /.test(made), `${JSON.stringify(more)}: ${JSON.stringify(made)}`);
  }
  // What is usual goes through, marked, and what it names as ids.
  const made = await create(
    {
      Binds: ['mydata:/data', 'fresh:/more:ro'],
      Mounts: [{ Type: 'tmpfs', Target: '/t' }],
      NetworkMode: 'mynet',
      PidMode: 'container:mine',
      VolumesFrom: ['mine:ro', 'mine'],
      Links: ['mine', 'mine:db'],
      CapAdd: ['CHOWN'],
      SecurityOpt: ['no-new-privileges', 'hardened=true'],
      Memory: 1 << 28,
      PortBindings: { '80/tcp': [{ HostPort: '8080' }] },
      Privileged: false,
      Devices: [],
      MaskedPaths: null,
    },
    { Labels: { a: 'b' }, NetworkingConfig: { EndpointsConfig: { mynet: { Aliases: ['x'] }, default: null } } },
  );
  assert.ok(typeof made !== 'string', JSON.stringify(made));
  assert.deepEqual(made.Labels, { a: 'b', 'gantry.scope': 'ci' });
  assert.equal(made.HostConfig?.PidMode, `container:${id('a')}`);
  assert.equal(made.HostConfig?.NetworkMode, id('3'));
  assert.deepEqual(made.HostConfig?.VolumesFrom, [`${id('a')}:ro`, id('a')]);
  assert.deepEqual(made.HostConfig?.Links, [`${id('a')}:mine`, `${id('a')}:db`]);
  assert.deepEqual(made.NetworkingConfig?.EndpointsConfig, { [id('3')]: { Aliases: ['x'] }, default: null });
  assert.deepEqual(VOLUMES['fresh']?.labels, { 'gantry.scope': 'ci' });
  delete VOLUMES['fresh'];
  const shop = await create({ Binds: ['shopdata:/x'] }, { Image: 'secret:1' }, 'shop');
  assert.ok(typeof shop !== 'string', JSON.stringify(shop));
  assert.deepEqual(shop.Labels, { [PROJECT]: 'shop', 'gantry.scope': 'shop' });
  const root = await create({ Binds: ['shoproot:/x'] }, {}, 'shop');
  assert.match(JSON.stringify(root), /^"403 .*shoproot has options of a driver/);

  const refuse = async (path: string, body: unknown): Promise<void> => {
    reached.take();
    const { status, text } = await daemon.call(daemon.socketOf('ci'), 'POST', `/v1.51${path}`, body);
    assert.ok([403, 404, 501].includes(status), `${path} ${JSON.stringify(body)}: ${status} ${text}`);
    assert.deepEqual(
      reached.take().filter((one) => one !== 'volumes.create'),
      [],
    );
  };
  await refuse('/networks/create', { Name: 'n', Driver: 'macvlan', Options: { parent: 'eth0' } });
  await refuse('/networks/create', { Name: 'n', Options: { 'com.docker.network.bridge.name': 'eth0' } });
  await refuse('/networks/create', { Name: 'n', IPAM: { Config: [{ Subnet: '140.82.112.0/20' }] } });
  await refuse('/networks/create', { Name: 'n', IPAM: { Driver: 'other' } });
  await refuse('/networks/create', { Name: 'n', ConfigFrom: { Network: 'x' } });
  await refuse('/networks/create', { Name: 'n', Labels: { 'gantry.scope': 'shop' } });
  await refuse('/networks/mynet/connect', { Container: 'foreign' });
  await refuse('/networks/bridge/connect', { Container: 'mine' });
  await refuse('/networks/mynet/connect', { Container: 'mine', EndpointConfig: { Links: ['foreign:db'] } });
  await refuse('/volumes/create', { Name: 'v', DriverOpts: { type: 'none', o: 'bind', device: '/' } });
  await refuse('/volumes/create', { Name: 'root' });
  await refuse('/images/create?fromImage=secret&tag=1', {});
  await refuse('/images/create?fromImage=ghcr.io/team/app', {});
  await refuse('/images/create?fromSrc=http://host/x.tar&repo=node', {});
});

test('HTTP/2 from the first byte, upgrades, other versions and odd paths are no way around', async () => {
  await using daemon = await Daemon.start([WATCH, CI]);
  const raw = async (socketPath: string, text: string): Promise<string> => {
    const socket = connect(socketPath);
    await once(socket, 'connect');
    socket.write(text);
    return Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString();
  };
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  assert.match(await raw(daemon.socket, preface), /h2 is open/);
  for (const closed of [daemon.socketOf('ci'), daemon.tokensOnly]) {
    assert.match(await raw(closed, preface), /^HTTP\/1\.1 400 /);
  }
  const upgrade = 'Host: x\r\nConnection: Upgrade, close\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n';
  for (const path of [
    '/v1.51/containers/foreign/attach?stdin=1',
    '/exec/foreignexec/start',
    '/v1.24/containers/foreign/attach',
  ]) {
    assert.match(await raw(daemon.socketOf('ci'), `POST ${path} HTTP/1.1\r\n${upgrade}`), /^HTTP\/1\.1 404 /);
  }
  for (const path of [
    '/v1.51/containers/mine%2f..%2fforeign/json',
    '/v1.51//containers/foreign/json',
    '/v1.24/containers/foreign/json',
    '/containers/foreign/json?id=mine',
    '/v1.51/containers/FOREIGN/json',
    `/v1.51/containers/${id('d').slice(0, 12)}/json`,
  ]) {
    const { status } = await daemon.call(daemon.socketOf('ci'), 'GET', path);
    assert.ok([403, 404].includes(status), `${path}: ${status}`);
  }
  for (const path of ['/v1.51/Build', '/v1.51/%62uild', '/build/']) {
    const { status } = await daemon.call(daemon.socketOf('ci'), 'POST', path, {});
    assert.ok([403, 404].includes(status), `${path}: ${status}`);
  }
  assert.equal(
    (await daemon.call(daemon.socketOf('ci'), 'GET', '/_ping', undefined, { 'sec-fetch-site': 'cross-site' })).status,
    403,
  );
  assert.deepEqual(daemon.reached.take(), []);
});

test('tokens: the same scope on any door, known by their hash, worth nothing once it is removed', async () => {
  await using daemon = await Daemon.start([WATCH]);
  const { Token } = await daemon.doors.create({ Name: 'deploy', Token: true });
  assert.match(Token!, /^gantry-scope-[\w-]{43}$/);
  const bearer = { authorization: `Bearer ${Token}` };
  for (const door of [daemon.socket, daemon.tokensOnly]) {
    assert.equal((await daemon.call(door, 'GET', '/v1.51/containers/foreign/json', undefined, bearer)).status, 404);
    assert.equal((await daemon.call(door, 'POST', '/v1.51/build', {}, bearer)).status, 403);
    for (const wrong of ['Bearer x', `Bearer ${Token}x`, 'Bearer gantry-scope-']) {
      assert.equal((await daemon.call(door, 'GET', '/_ping', undefined, { authorization: wrong })).status, 401);
    }
  }
  assert.equal((await daemon.call(daemon.socket, 'GET', '/_ping')).status, 200);
  assert.equal((await daemon.call(daemon.tokensOnly, 'GET', '/_ping')).status, 401);
  // A token is no way out of another scope's door.
  assert.equal(
    (await daemon.call(daemon.socketOf('watch'), 'POST', '/v1.51/containers/mine/stop', {}, bearer)).status,
    403,
  );
  assert.ok(!daemon.raw.join('').includes(Token!));
  assert.deepEqual(
    daemon.lines().map((line) => line.split(' ').at(0)),
    [...Array<string>(4).fill('deploy'), 'watch'],
  );
  const socket = daemon.socketOf('deploy');
  const waiting = connect(socket);
  await once(waiting, 'connect');
  waiting.on('error', () => {});
  waiting.write('GET /v1.51/events HTTP/1.1\r\nHost: x\r\n\r\n');
  daemon.doors.remove('deploy');
  assert.equal((await daemon.call(daemon.tokensOnly, 'GET', '/_ping', undefined, bearer)).status, 401);
  await assert.rejects(daemon.call(socket, 'GET', '/_ping'));
  assert.throws(() => daemon.doors.remove('deploy'), { code: 'not-found' });
  waiting.destroy();
});

test('scopes that cannot be, sockets and their directories, what an audit line holds', async () => {
  await using daemon = await Daemon.start([WATCH]);
  const wrong: ScopeCreateRequest[] = [
    { Name: '' },
    { Name: '../x' },
    { Name: 'a/b' },
    { Name: 'UP' },
    { Name: 'a'.repeat(64) },
    { Name: 'x', Label: 'nothing' },
    { Name: 'x', Label: 'a=b\nc' },
    { Name: 'x', Label: 'gantry.scope=watch' },
    { Name: 'x', Images: ['a b'] },
    { Name: 'x', Images: ['a\n'] },
  ];
  for (const request of wrong) {
    await assert.rejects(
      daemon.doors.create(request),
      (error: EngineError) => error.code === 'invalid-argument',
      JSON.stringify(request),
    );
  }
  await assert.rejects(daemon.doors.create({ Name: 'watch' }), { code: 'conflict' });
  await assert.rejects(daemon.doors.create({ Name: 'watch', Ensure: true }), { code: 'conflict' });
  assert.equal((await daemon.doors.create({ ...WATCH, Ensure: true })).Name, 'watch');
  const { Directory } = daemon.doors.list()[0]!;
  assert.equal(statSync(join(Directory, '..')).mode & 0o777, 0o700);
  assert.equal(statSync(Directory).mode & 0o777, 0o755);
  await daemon.call(daemon.socketOf('watch'), 'GET', '/v1.51/containers/x%0a%1b[31m/json?secret=word');
  const [line] = daemon.raw;
  assert.match(line!, /^[ -~]+$/);
  assert.doesNotMatch(line!, /secret|word/);
  const { from } = JSON.parse(line!) as { from: { pid: number; uid: number } };
  assert.deepEqual([from.pid, from.uid], [process.pid, process.getuid!()]);
});
