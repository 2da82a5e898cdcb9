/** One request. `body` is sent as JSON unless it is a string or bytes. */
export interface ApiCase {
  readonly name: string;
  readonly method: string;
  /** With its version; `own0` stands for a prefix that is this run's own. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const V = '/v1.51';

function request(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): ApiCase {
  const shown =
    body === undefined
      ? ''
      : Buffer.isBuffer(body)
        ? ' a tar'
        : ` ${typeof body === 'string' ? body : JSON.stringify(body)}`;
  return {
    name: `${method} ${path}${shown.slice(0, 100)}`,
    method,
    path: path.startsWith('~') ? path.slice(1) : V + path,
    ...(body === undefined ? {} : { body }),
    ...(headers ? { headers } : {}),
  };
}

const get = (path: string): ApiCase => request('GET', path);
const head = (path: string): ApiCase => request('HEAD', path);
const post = (path: string, body?: unknown): ApiCase => request('POST', path, body);
const put = (path: string, body?: unknown): ApiCase => request('PUT', path, body);
const remove = (path: string): ApiCase => request('DELETE', path);
const filters = (value: unknown): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;

const run = { Image: 'busybox', Cmd: ['sh', '-c', 'echo out; sleep 300'] };
/** One empty file named `f`. */
const tar = Buffer.alloc(2048);
tar.write('f', 0);
tar.write('0000644\0' + '0000000\0' + '0000000\0' + '00000000000\0' + '00000000000\0', 100);
tar.write('        0', 148);
tar.write('ustar\x0000', 257);
tar.write(
  `${tar
    .subarray(0, 512)
    .reduce((sum, byte) => sum + byte, 0)
    .toString(8)
    .padStart(6, '0')}\0 `,
  148,
);

/** In this order, on one engine that holds the image `busybox`: later cases see what earlier ones did. */
export const CASES: readonly ApiCase[] = [
  // The front of the house.
  get('/_ping'),
  head('/_ping'),
  get('~/version'),
  get('/info'),
  get('~/v1.24/info'),
  get('~/v1.21/version'),
  get('~/v1.99/version'),
  get('~/v1/version'),
  get('~/vabc/version'),
  get('~/'),
  get('/nope'),
  get('/'),
  get('~/v1.51'),
  post('/containers/json'),
  remove('/version'),
  get('/plugins'),
  get('/plugins/nope/json'),
  remove('/plugins/nope'),
  get('/swarm'),
  get('/nodes'),
  get('/services'),
  get('/tasks'),
  get('/secrets'),
  get('/configs'),
  post('/services/create', {}),
  post('/secrets/create', {}),
  get('/swarm/unlockkey'),
  post('/swarm/leave'),
  put('/volumes/x', {}),
  post('/session'),
  get('/containers/nope/checkpoints'),

  // Create: what is refused.
  post('/containers/create'),
  post('/containers/create', '{'),
  post('/containers/create', '{}'),
  post('/containers/create', 'null'),
  post('/containers/create', '[]'),
  post('/containers/create', '5'),
  post('/containers/create', '"x"'),
  post('/containers/create', 'foo'),
  post('/containers/create', '{"Image":"busybox",}'),
  post('/containers/create', '{image:5}'),
  post('/containers/create', '{"image":"a\nb"}'),
  post('/containers/create', '{"Image":"busybox"} x'),
  post('/containers/create', { Image: 5 }),
  post('/containers/create', { Image: 'busybox', tty: 1 }),
  post('/containers/create', { Image: 'busybox', Labels: { a: 1 } }),
  post('/containers/create', { Image: 'busybox', StopTimeout: 'x' }),
  post('/containers/create', { Image: 'busybox', Healthcheck: { Interval: '1s' } }),
  post('/containers/create', { Image: 'busybox', ExposedPorts: ['80'] }),
  post('/containers/create', { Image: 'busybox', hostconfig: 5 }),
  post('/containers/create', { Image: 'busybox', HostConfig: { Memory: '5' } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { Memory: 5.5 } }),
  post('/containers/create', { Image: 'busybox', hostconfig: { portbindings: { '80/tcp': [{ hostport: 80 }] } } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 'x' }] } } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { RestartPolicy: { Name: 'x' } } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { Memory: 1 } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { Binds: ['relative:/x:zz'] } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { Binds: ['/tmp:relative'] } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { CapAdd: ['NOPE'] } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { CgroupnsMode: 'x' } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { CpuShares: -1 } }),
  post('/containers/create', { Image: 'nope', HostConfig: { CpuShares: -1 } }),
  post('/containers/create', {
    Image: 'busybox',
    HostConfig: { Mounts: [{ Type: 'tmpfs', Target: '/x', ImageOptions: {} }] },
  }),
  post('/containers/create', { Image: 'busybox', MacAddress: 'x' }),
  post('/containers/create', {
    Image: 'busybox',
    NetworkingConfig: { EndpointsConfig: { bridge: { Aliases: ['x'] } } },
  }),
  post('/containers/create', { Image: 'busybox', HostConfig: { Runtime: 'nope' } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { LogConfig: { Type: 'nope' } } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { SecurityOpt: ['nope'] } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { Mounts: [{ Type: 'nope', Target: '/x' }] } }),
  post('/containers/create', { Image: 'busybox', HostConfig: { AutoRemove: true, RestartPolicy: { Name: 'always' } } }),
  post('/containers/create', { Image: 'nope' }),
  post('/containers/create', { Image: 'UPPER' }),
  post('/containers/create?name=a/b', { Image: 'busybox' }),
  post('/containers/create?platform=x/y/z/w', { Image: 'busybox' }),
  request('POST', '~/v1.44/containers/create', {
    Image: 'busybox',
    HostConfig: { Mounts: [{ Type: 'volume', Source: 'x', Target: '/x', VolumeOptions: { Subpath: 'a' } }] },
  }),
  request('POST', '~/v1.47/containers/create', {
    Image: 'busybox',
    HostConfig: { Mounts: [{ Type: 'image', Source: 'busybox', Target: '/x' }] },
  }),

  // What was not sent is there as Go's zero.
  post('/containers/create?name=own0z', {
    Image: 'busybox',
    Cmd: ['true'],
    Entrypoint: [],
    OnBuild: ['RUN x'],
    HostConfig: {
      PortBindings: { '80/tcp': [{ HostPort: '18080' }] },
      Ulimits: [{ Name: 'core' }],
      Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/n' }],
    },
  }),
  get('/containers/own0z/json'),
  remove('/containers/own0z'),
  request('POST', '~/v1.24/containers/create?name=own0y', { Image: 'busybox', HostConfig: { AutoRemove: true } }),
  get('/containers/own0y/json'),
  remove('/containers/own0y'),

  // A container's life.
  post('/containers/create?name=own0a', { ...run, Labels: { owner: 'own0' } }),
  post('/containers/create?name=own0a', { Image: 'busybox' }),
  post('/containers/create?name=own0b', { image: 'busybox', cmd: 'date', MacAddress: '02:42:ac:11:00:99' }),
  get('/containers/own0b/json'),
  get('/containers/own0a/json'),
  get('~/v1.44/containers/own0a/json'),
  get('/containers/own0a/json?size=1'),
  post('/containers/own0a/start', { Binds: [] }),
  post('/containers/own0a/start'),
  post('/containers/own0a/start'),
  get(`/containers/json?${filters({ label: ['owner=own0'] })}`),
  get(`/containers/json?${filters({ name: ['own0a'] })}&all=1&size=1`),
  get(`/containers/json?${filters({ foo: ['a'] })}`),
  get(`/containers/json?${filters({ status: ['nope'] })}`),
  get('/containers/json?filters=x'),
  get('/containers/json?filters=[]'),
  get('/containers/json?limit=x'),
  get('/containers/own0a/json'),
  get('/containers/own0a/top'),
  get('/containers/own0a/top?ps_args=-o%20pid,comm'),
  get('/containers/own0a/stats?stream=0'),
  get('/containers/own0a/stats?stream=0&one-shot=1'),
  get('/containers/own0a/stats?one-shot=1'),
  get('/containers/own0a/changes'),
  get('/containers/own0a/logs'),
  get('/containers/own0a/logs?stdout=1&stderr=1'),
  get('~/v1.41/containers/own0a/logs?stdout=1'),
  get('/containers/own0a/logs?stdout=1&since=x'),
  get('/containers/own0a/logs?stdout=1&tail=x'),
  post('/containers/own0a/resize?h=x'),
  post('/containers/own0a/resize?h=10&w=10'),
  post('/containers/own0a/attach?detachKeys=foo'),
  post('/containers/own0a/wait?condition=foo'),
  post('/containers/own0a/update', {}),
  post('/containers/own0a/update', { Memory: 'x' }),
  post('/containers/own0a/update', { Memory: 1 }),
  post('/containers/own0a/update', { RestartPolicy: { Name: 'x' } }),
  post('/containers/own0a/rename'),
  post('/containers/own0a/rename?name=own0a'),
  post('/containers/own0a/rename?name=a/b'),
  post('/containers/own0a/rename?name=own0b'),
  post('/containers/own0a/rename?name=own0c'),
  post('/containers/own0c/rename?name=own0a'),

  // Archives.
  get('/containers/own0a/archive'),
  head('/containers/own0a/archive?path=/etc/passwd'),
  get('/containers/own0a/archive?path=/etc/passwd'),
  get('/containers/own0a/archive?path=/nope'),
  put('/containers/own0a/archive?path=/etc/passwd', tar),
  put('/containers/own0a/archive?path=/nope', tar),
  put('/containers/own0a/archive?path=/tmp', tar),
  put('/containers/own0a/archive?path=/tmp', 'no tar'),
  head('/containers/own0a/archive?path=/tmp/f'),
  get('/containers/own0a/changes'),

  // Execs.
  post('/containers/own0a/exec', {}),
  post('/containers/own0a/exec', { Cmd: 5 }),
  post('/containers/own0a/exec', { Cmd: ['true'], AttachStdout: true }),
  post('/containers/nope/exec', { Cmd: ['true'] }),
  post('/exec/nope/start', {}),
  post('/exec/nope/start', '{'),
  get('/exec/nope/json'),
  post('/exec/nope/resize?h=1&w=1'),
  post('/exec/nope/resize?h=1'),

  // Pausing and the end.
  post('/containers/own0a/pause'),
  post('/containers/own0a/pause'),
  post('/containers/own0a/exec', { Cmd: ['true'] }),
  post('/containers/own0a/unpause'),
  post('/containers/own0a/unpause'),
  post('/containers/own0a/kill?signal=foo'),
  remove('/containers/own0a'),
  post('/containers/own0a/stop?t=x'),
  post('/containers/own0a/stop?t=0'),
  post('/containers/own0a/stop?t=0'),
  post('/containers/own0a/kill'),
  post('/containers/own0a/pause'),
  post('/containers/own0a/wait'),
  get('/containers/own0a/top'),
  post('/containers/own0a/exec', { Cmd: ['true'] }),
  get('/containers/own0a/json'),
  get('/containers/own0a/stats?stream=0'),
  get('/containers/own0a/export'),
  post('/containers/own0a/restart?t=0'),
  post('/containers/own0a/kill'),
  post('/commit?container=own0a&repo=own0img&tag=x', {}),
  post('/commit?container=own0a&repo=UP', {}),
  post('/commit?container=own0a&changes=FOO', {}),
  post('/commit?container=nope', {}),
  post('/commit', {}),
  remove('/containers/own0a?v=1'),
  remove('/containers/own0b?force=1'),
  remove('/containers/own0b'),
  remove('/containers/own0b?force=1'),
  ...['start', 'stop', 'restart', 'kill', 'pause', 'unpause', 'wait', 'update', 'rename?name=x'].map((verb) =>
    post(`/containers/nope/${verb}`, verb === 'update' ? {} : undefined),
  ),
  ...['json', 'top', 'logs?stdout=1', 'changes', 'export', 'stats?stream=0', 'archive?path=/'].map((what) =>
    get(`/containers/nope/${what}`),
  ),
  put('/containers/nope/archive?path=/', tar),
  post('/containers/prune?filters=x'),
  post(`/containers/prune?${filters({ foo: ['a'] })}`),
  post(`/containers/prune?${filters({ label: ['owner=own0'] })}`),

  // Images.
  get(`/images/json?${filters({ reference: ['own0img'] })}`),
  get(`~/v1.42/images/json?${filters({ reference: ['own0img'] })}`),
  get(`/images/json?${filters({ foo: ['a'] })}`),
  get('/images/own0img:x/json'),
  get('~/v1.44/images/own0img:x/json'),
  get('/images/own0img:x/history'),
  get('/images/nope/json'),
  get('/images/sha256:abc/json'),
  get('/images/UPPER/json'),
  get('/images/a/b/c/json'),
  get('/images/nope/history'),
  post('/images/own0img:x/tag?repo=own0img&tag=y'),
  post('/images/own0img:x/tag?repo=X'),
  post('/images/nope/tag?repo=x'),
  get('/images/own0img:x/get'),
  get('/images/get?names=nope'),
  get('/images/nope/get'),
  remove('/images/own0img:x'),
  remove('/images/own0img:y'),
  remove('/images/nope'),
  post('/images/create?fromImage=UPPER'),
  post('/images/create?fromSrc=-&repo=UP', ''),
  post('/images/load', 'no archive'),
  post('/images/nope/push'),
  get('/images/search?term=a&limit=1000'),
  get('/images/search?term=a&limit=x'),
  get('/distribution/UPPER/json'),
  post(`/images/prune?${filters({ foo: ['a'] })}`),
  post('/build', 'no tar'),
  post('/build?version=3'),
  post('/build/cancel'),
  post('/build/cancel?id=x'),
  post('/build/prune?keep-storage=x'),

  // Networks and volumes.
  get(`/networks?${filters({ name: ['bridge'] })}`),
  get(`/networks?${filters({ foo: ['a'] })}`),
  get(`/networks?${filters({ type: ['custom'], name: ['nope'], dangling: ['x'] })}`),
  get('/networks/host'),
  get('/networks/nope'),
  post('/networks/create', {}),
  post('/networks/create', { Name: 5 }),
  post('/networks/create', { Name: 'host' }),
  post('/networks/create', { Name: 'own0net', Driver: 'nope' }),
  post('/networks/create', { Name: 'own0net', Labels: { a: 'b' } }),
  post('/networks/create', { Name: 'own0net' }),
  get('/networks/own0net'),
  post('/networks/own0net/connect', { Container: 'nope' }),
  post('/networks/nope/connect', { Container: 'nope' }),
  post('/networks/own0net/disconnect', { Container: 'nope' }),
  remove('/networks/own0net'),
  remove('/networks/own0net'),
  remove('/networks/bridge'),
  post(`/networks/prune?${filters({ foo: ['a'] })}`),
  post('/volumes/create', { Name: 'own0vol', Labels: { a: 'b' } }),
  post('/volumes/create', { Name: 'own0vol' }),
  post('/volumes/create', { Name: 'a/b' }),
  post('/volumes/create', { Labels: [] }),
  get('/volumes/own0vol'),
  get(`/volumes?${filters({ name: ['own0vol'] })}`),
  get(`/volumes?${filters({ foo: ['a'] })}`),
  get('/system/df?type=volume'),
  remove('/volumes/own0vol'),
  remove('/volumes/own0vol'),
  remove('/volumes/own0vol?force=1'),
  get('/volumes/nope'),
  post(`/volumes/prune?${filters({ foo: ['a'] })}`),

  // The rest of the system.
  get('/system/df?type=foo'),
  get('/events?since=x&until=1'),
  get('/events?since=5&until=1'),
  get('/events?since=1&until=2'),
  post('/auth'),
];
