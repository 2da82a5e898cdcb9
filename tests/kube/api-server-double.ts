/**
 * As much of a Kubernetes API server as `gantry kube` speaks with: discovery, server-side apply with resource versions,
 * owners of fields (merged, in conflict, taken by force, let go of) and strict validation by the published schemas, reads,
 * deletions, pods by label, logs. Lists have one owner as a whole. It keeps what it was asked.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { problemsOf } from './strict-schema.ts';

type Stored = ReturnType<typeof JSON.parse>;

const GROUPS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  v1: {
    Pod: 'pods',
    Secret: 'secrets',
    ConfigMap: 'configmaps',
    Service: 'services',
    PersistentVolumeClaim: 'persistentvolumeclaims',
  },
  'apps/v1': { Deployment: 'deployments', StatefulSet: 'statefulsets', DaemonSet: 'daemonsets' },
  'batch/v1': { Job: 'jobs' },
  'networking.k8s.io/v1': { NetworkPolicy: 'networkpolicies' },
};

export class ApiServerDouble {
  readonly requests: { readonly method: string; readonly path: string; readonly type: string | undefined }[] = [];
  readonly objects = new Map<string, Stored>();
  /** `pod/container` → what it printed. */
  readonly logs = new Map<string, string>();
  readonly token = 'a-token-of-the-test';
  /** By object: who has set which field. */
  readonly #owners = new Map<string, Map<string, Set<string>>>();
  #version = 0;
  #server: Server | undefined;

  async start(): Promise<string> {
    this.#server = createServer((request, response) => void this.#handle(request, response));
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://double');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.requests.push({
      method: request.method!,
      path: url.pathname + url.search,
      type: request.headers['content-type'],
    });
    const send = (status: number, value: unknown): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    };
    const refuse = (status: number, reason: string, message: string): void =>
      send(status, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code: status });
    if (request.headers.authorization !== `Bearer ${this.token}`) return refuse(401, 'Unauthorized', 'Unauthorized');
    const [, group, rest = ''] =
      /^\/(?:api\/|apis\/(?=[^/]+\/))((?:[^/]+\/)?v[^/]+)(?:\/(.*))?$/.exec(url.pathname) ?? [];
    const kinds = GROUPS[group ?? ''];
    if (!kinds) return refuse(404, 'NotFound', 'the server could not find the requested resource');
    if (rest === '')
      return send(200, {
        kind: 'APIResourceList',
        apiVersion: 'v1',
        groupVersion: group,
        resources: Object.entries(kinds).map(([kind, name]) => ({
          name,
          singularName: '',
          namespaced: true,
          kind,
          verbs: ['get', 'patch', 'delete', 'list'],
        })),
      });
    const [, namespace, plural, name, sub] =
      /^namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+))?(?:\/(\w+))?$/.exec(rest) ?? [];
    const key = `${plural}/${namespace}/${name}`;
    if (sub === 'log') {
      const text = this.logs.get(`${name}/${url.searchParams.get('container')}`) ?? '';
      const tail = url.searchParams.get('tailLines');
      const lines = text.split('\n').slice(0, -1);
      response.writeHead(200, { 'Content-Type': 'text/plain' });
      response.end((tail === null ? lines : lines.slice(-Number(tail))).map((line) => `${line}\n`).join(''));
      return;
    }
    if (name === undefined) {
      const wanted = (url.searchParams.get('labelSelector') ?? '').split(',').map((pair) => pair.split('='));
      const items = [...this.objects].filter(([at]) => at.startsWith(`${plural}/${namespace}/`)).map(([, one]) => one);
      return send(200, {
        kind: 'PodList',
        apiVersion: 'v1',
        items: items.filter((one) => wanted.every(([label, value]) => one.metadata.labels?.[label!] === value)),
      });
    }
    const known = this.objects.get(key);
    if (request.method === 'PATCH') return this.#apply(key, known, Buffer.concat(chunks).toString(), url, send, refuse);
    if (!known) return refuse(404, 'NotFound', `${plural} "${name}" not found`);
    if (request.method === 'DELETE') this.objects.delete(key);
    send(200, known);
  }

  async #apply(
    key: string,
    known: Stored,
    body: string,
    url: URL,
    send: (status: number, value: unknown) => void,
    refuse: (status: number, reason: string, message: string) => void,
  ): Promise<void> {
    const object = JSON.parse(body) as Stored;
    const problems = await problemsOf(object);
    if (problems.length > 0) return refuse(422, 'Invalid', problems.join(', '));
    const manager = url.searchParams.get('fieldManager');
    if (!manager) return refuse(400, 'BadRequest', 'fieldManager is required for apply patch');
    if (object.metadata.resourceVersion !== undefined || object.metadata.managedFields !== undefined)
      return refuse(400, 'BadRequest', 'metadata.managedFields must be nil');
    const dry = url.searchParams.get('dryRun') === 'All';
    const owners = new Map([...(this.#owners.get(key) ?? [])].map(([path, who]) => [path, new Set(who)]));
    const wanted = leaves(object);
    const had = known ? leaves(known) : new Map<string, string>();
    const others = [...wanted].flatMap(([path, value]) =>
      [...(owners.get(path) ?? [])]
        .filter((who) => who !== manager && had.get(path) !== value)
        .map((who) => ({ who, path })),
    );
    if (others.length > 0 && url.searchParams.get('force') !== 'true')
      return refuse(
        409,
        'Conflict',
        `Apply failed with ${others.length} conflict${others.length > 1 ? 's' : ''}: ${others.map(({ who, path }) => `conflict with ${JSON.stringify(who)}: ${path}`).join(', ')}`,
      );
    for (const { who, path } of others) owners.get(path)!.delete(who);
    const merged = structuredClone(known ?? {}) as Stored;
    for (const [path, who] of owners) {
      if (wanted.has(path) || !who.delete(manager)) continue;
      // What nobody sets any more goes.
      if (who.size === 0) setLeaf(merged, path, undefined);
    }
    for (const [path, value] of wanted) {
      setLeaf(merged, path, JSON.parse(value));
      owners.set(path, (owners.get(path) ?? new Set()).add(manager));
    }
    const { resourceVersion, generation } = known?.metadata ?? {};
    const text = inOrder(leaves(merged));
    const same = known !== undefined && text === inOrder(had);
    const next = {
      ...merged,
      metadata: {
        ...merged.metadata,
        resourceVersion: same ? resourceVersion : String(++this.#version),
        generation: same ? generation : (generation ?? 0) + 1,
      },
    };
    if (!dry) this.#owners.set(key, owners);
    if (!dry) this.objects.set(key, next);
    send(known ? 200 : 201, next);
  }
}

/** Values that are no mappings, as JSON, by their path; without what the server itself keeps. */
function leaves(value: Stored, path = '', found = new Map<string, string>()): Map<string, string> {
  for (const [name, item] of Object.entries(value)) {
    const at = `${path}.${/^[\w-]+$/.test(name) ? name : JSON.stringify(name)}`;
    if (at === '.status' || ['.metadata.resourceVersion', '.metadata.generation'].includes(at)) continue;
    if (typeof item === 'object' && item !== null && !Array.isArray(item) && Object.keys(item).length > 0)
      leaves(item, at, found);
    else found.set(at, JSON.stringify(item));
  }
  return found;
}

function inOrder(found: ReadonlyMap<string, string>): string {
  return JSON.stringify([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function setLeaf(target: Stored, path: string, value: unknown): void {
  const names = [...path.matchAll(/\.("(?:[^"\\]|\\.)*"|[\w-]+)/g)].map(([, name]) =>
    name!.startsWith('"') ? (JSON.parse(name!) as string) : name!,
  );
  let at = target;
  for (const name of names.slice(0, -1)) at = at[name] ??= {};
  if (value === undefined) delete at[names.at(-1)!];
  else at[names.at(-1)!] = value;
}
