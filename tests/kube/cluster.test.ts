/** `gantry kube apply`, `down`, `logs` through the official client, against a double of an API server. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { ApiServerDouble } from './api-server-double.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-cluster-'));
const KUBECONFIG = join(directory, 'config');

describe('gantry kube with a cluster', () => {
  const server = new ApiServerDouble();
  let address = '';
  const gantry = (words: readonly string[], env: Record<string, string> = { KUBECONFIG }): Promise<Ended> =>
    runInProcess(['kube', ...words], { env: { HOME: directory, ...env } });
  const shop = join(directory, 'shop.yaml');

  before(async () => {
    address = await server.start();
    fs.writeFileSync(
      KUBECONFIG,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'test',
        clusters: [
          { name: 'double', cluster: { server: address, 'insecure-skip-tls-verify': true } },
          { name: 'gone', cluster: { server: 'http://127.0.0.1:1', 'insecure-skip-tls-verify': true } },
        ],
        users: [
          { name: 'me', user: { token: server.token } },
          { name: 'stranger', user: { token: 'x' } },
        ],
        contexts: [
          { name: 'test', context: { cluster: 'double', user: 'me', namespace: 'lab' } },
          { name: 'stranger', context: { cluster: 'double', user: 'stranger' } },
          { name: 'gone', context: { cluster: 'gone', user: 'me' } },
        ],
      }),
    );
    const compose = join(directory, 'compose.yaml');
    fs.writeFileSync(
      compose,
      'name: shop\nservices:\n  web: { image: nginx, ports: ["80:80"], secrets: [s] }\n  db: { image: pg, volumes: ["data:/d"] }\nvolumes: { data: {} }\nsecrets: { s: { environment: HOME } }\n',
    );
    const { code, stderr } = await runInProcess(
      ['compose', '-f', compose, 'convert', '--to', 'kubernetes', '-o', shop],
      {
        env: { HOME: directory },
      },
    );
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    await server.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  test('apply: created, unchanged, configured; the dry run changes nothing; the context’s namespace', async () => {
    const dry = await gantry(['apply', '--server-dry-run', shop]);
    assert.match(dry.stdout, /deployment\/web created \(server dry run\)/, dry.stderr);
    assert.equal(server.objects.size, 0);
    const first = await gantry(['apply', shop]);
    assert.equal(first.code, 0, first.stderr);
    assert.deepEqual(first.stdout.trim().split('\n'), [
      'secret/shop-s created',
      'persistentvolumeclaim/shop-data created',
      'networkpolicy/network-default created',
      'networkpolicy/web-published created',
      'service/db created',
      'service/web created',
      'service/web-published created',
      'statefulset/db created',
      'deployment/web created',
    ]);
    assert.ok(server.objects.has('deployments/lab/web'));
    const patch = server.requests.findLast(({ method }) => method === 'PATCH')!;
    assert.equal(patch.type, 'application/apply-patch+yaml');
    assert.match(patch.path, /fieldManager=gantry&fieldValidation=Strict&force=false/);
    assert.match((await gantry(['apply', shop])).stdout, /^(?:\S+ unchanged\n){9}$/);
    fs.writeFileSync(shop, fs.readFileSync(shop, 'utf8').replace('image: nginx', 'image: nginx:2'));
    assert.match((await gantry(['apply', shop])).stdout, /deployment\/web configured/);
    assert.match((await gantry(['apply', '-n', 'other', shop])).stdout, /deployment\/web created/);
    assert.ok(server.objects.has('deployments/other/web'));
  });

  test('--wait waits until workloads are ready, and says which is not', async () => {
    const deployment = server.objects.get('deployments/lab/web');
    const database = server.objects.get('statefulsets/lab/db');
    const late = await gantry(['apply', '--wait', '--timeout', '600ms', shop]);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /statefulset\/db is not ready after 0.6 s/);
    database.status = { observedGeneration: 1, readyReplicas: 1, updatedReplicas: 1 };
    deployment.status = { observedGeneration: 1, updatedReplicas: 1, availableReplicas: 0 };
    for (const [key, one] of [
      ['deployments/lab/web', deployment],
      ['statefulsets/lab/db', database],
    ] as const)
      server.objects.set(key, one);
    const waiting = gantry(['apply', '--wait', shop]);
    setTimeout(() => {
      const now = server.objects.get('deployments/lab/web');
      now.status = { observedGeneration: now.metadata.generation, updatedReplicas: 1, availableReplicas: 1 };
      const other = server.objects.get('statefulsets/lab/db');
      other.status = { observedGeneration: other.metadata.generation, readyReplicas: 1, updatedReplicas: 1 };
    }, 700);
    const ended = await waiting;
    assert.equal(ended.code, 0, ended.stderr);
  });

  test('logs of the pods that belong to the manifests', async () => {
    for (const name of ['web-1', 'web-2'])
      server.objects.set(`pods/lab/${name}`, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name,
          namespace: 'lab',
          labels: { 'app.kubernetes.io/name': 'web', 'app.kubernetes.io/part-of': 'shop' },
        },
        spec: { containers: [{ name: 'web', image: 'nginx' }] },
      });
    server.logs.set('web-1/web', 'one\ntwo\n');
    server.logs.set('web-2/web', 'three\n\u001b[31mred\n');
    const all = await gantry(['logs', shop]);
    assert.equal(
      all.stdout,
      'web-1/web | one\nweb-1/web | two\nweb-2/web | three\nweb-2/web | \u001b[31mred\n',
      all.stderr,
    );
    assert.equal((await gantry(['logs', '--tail', '1', '--no-log-prefix', '-f', shop])).stdout.split('\n').length, 3);
    assert.match((await gantry(['logs', '-n', 'empty', shop])).stderr, /there are no pods of these manifests/);
  });

  test('down deletes the last first, and keeps the data unless told', async () => {
    const { stdout } = await gantry(['down', shop]);
    assert.equal(stdout.split('\n')[0], 'deployment/web deleted');
    assert.match(stdout, /persistentvolumeclaim\/shop-data kept/);
    assert.ok(server.objects.has('persistentvolumeclaims/lab/shop-data'));
    const again = await gantry(['down', '-v', shop]);
    assert.match(again.stdout, /deployment\/web absent[\s\S]*persistentvolumeclaim\/shop-data deleted/);
    assert.match(server.requests.findLast(({ method }) => method === 'DELETE')!.path, /propagationPolicy=Background/);
  });

  test('what goes wrong is one clear error', async () => {
    const bad = join(directory, 'bad.yaml');
    fs.writeFileSync(
      bad,
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\nspec: { replics: 1, selector: {}, template: { spec: { containers: [{ name: c, image: x }] } } }\n',
    );
    const cases: readonly (readonly [readonly string[], RegExp, Record<string, string>?])[] = [
      [['apply', bad], /deployment\/d: .*spec\.replics: unknown field/],
      [['apply', '--kube-context', 'stranger', shop], /secret\/shop-s: Unauthorized/],
      [['apply', '--kube-context', 'gone', shop], /the cluster cannot be reached: ./],
      [['apply', '--kube-context', 'nosuch', shop], /there is no context nosuch: known are test, stranger, gone/],
      [['apply', shop], /no cluster is configured: give --kubeconfig/, {}],
      [['apply', '--kubeconfig', bad, shop], /kubeconfig/],
      [['apply', join(directory, 'nosuch.yaml')], /no such file or directory/],
    ];
    for (const [words, message, env] of cases) {
      const { code, stderr } = await gantry(words, env ?? { KUBECONFIG });
      assert.equal(code, 1, stderr);
      assert.match(stderr, message);
    }
    await gantry(['apply', shop]);
  });

  test('fields: whose they are, who takes them, and what nobody sets any more', async () => {
    await gantry(['apply', shop]);
    /** As another program does it. */
    const kubectl = async (change: object): Promise<number> => {
      const { apiVersion, kind } = server.objects.get('deployments/lab/web');
      const path = '/apis/apps/v1/namespaces/lab/deployments/web?fieldManager=kubectl&force=true';
      const answer = await fetch(`${address}${path}`, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/apply-patch+yaml' },
        body: JSON.stringify({ apiVersion, kind, metadata: { name: 'web' }, ...change }),
      });
      return answer.status;
    };
    const spec = (replicas: number): object => {
      const { selector, template } = server.objects.get('deployments/lab/web').spec;
      return { spec: { replicas, selector, template } };
    };
    // What another sets, and ours does not mention, stays.
    assert.equal(await kubectl({ ...spec(1), metadata: { name: 'web', labels: { theirs: 'yes' } } }), 200);
    assert.equal((await gantry(['apply', shop])).code, 0);
    assert.equal(server.objects.get('deployments/lab/web').metadata.labels.theirs, 'yes');
    // What both set must be the same, or be taken.
    assert.equal(await kubectl(spec(5)), 200);
    const refused = await gantry(['apply', shop]);
    assert.match(
      refused.stderr,
      /deployment\/web: Apply failed with 1 conflict: conflict with "kubectl": \.spec\.replicas/,
    );
    assert.equal(server.objects.get('deployments/lab/web').spec.replicas, 5);
    assert.equal((await gantry(['apply', '--force-conflicts', shop])).code, 0);
    assert.equal(server.objects.get('deployments/lab/web').spec.replicas, 1);
    // What ours alone has set goes with its line.
    const text = fs.readFileSync(shop, 'utf8');
    fs.writeFileSync(shop, text.replace(/^( +)(app\.kubernetes\.io\/part-of: .*)$/m, '$1$2\n$1ours: here'));
    const first = [...server.objects].find(([key]) => key.startsWith('secrets/lab/'))![0];
    assert.equal((await gantry(['apply', shop])).code, 0);
    assert.equal(server.objects.get(first).metadata.labels.ours, 'here');
    fs.writeFileSync(shop, text);
    assert.match((await gantry(['apply', shop])).stdout, /secret\/shop-s configured/);
    assert.equal(server.objects.get(first).metadata.labels.ours, undefined);
  });
});
