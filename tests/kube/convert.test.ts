/** Compose projects as manifests: strictly valid, and with a word about every field that has no counterpart. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { runInProcess } from '../cli/in-process.ts';
import { problemsOf } from './strict-schema.ts';

/** As YAML gives it: of no type. */
type Manifest = ReturnType<typeof JSON.parse>;

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-convert-'));
after(() => fs.rmSync(directory, { recursive: true, force: true }));

/** Gives the manifests, all of them found valid, and the lines of the report. */
async function convert(compose: string, ...flags: string[]): Promise<{ manifests: Manifest[]; report: string[] }> {
  const file = join(directory, 'compose.yaml');
  fs.writeFileSync(file, compose);
  fs.writeFileSync(join(directory, 'app.conf'), 'listen = 80\n');
  const { code, stdout, stderr } = await runInProcess(
    ['compose', '-f', file, '--project-name', 'shop', 'convert', '--to', 'kubernetes', ...flags],
    { env: { HOME: directory, PASSWORD: 'from-the-environment' } },
  );
  assert.equal(code, 0, stderr);
  const manifests = parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
  for (const manifest of manifests) assert.deepEqual(await problemsOf(manifest), []);
  return { manifests, report: stderr.trimEnd().split('\n') };
}

const names = (manifests: readonly Manifest[]): string[] =>
  manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
const find = (manifests: readonly Manifest[], name: string): Manifest => {
  const found = manifests.find(({ kind, metadata }) => `${kind}/${metadata.name}` === name);
  assert.ok(found, `${name} among ${names(manifests).join(', ')}`);
  return found;
};
const containerOf = (manifest: Manifest): Manifest => manifest['spec'].template.spec.containers[0];

describe('gantry compose convert --to kubernetes', () => {
  test('the check itself finds what is wrong', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c', image: 'x', portz: [] }] },
    };
    assert.deepEqual(await problemsOf(pod), ['Pod/p.spec.containers[0].portz: unknown field of V1Container']);
    assert.notDeepEqual(
      await problemsOf({ ...pod, spec: { containers: [{ image: 'x', ports: [{ containerPort: 'a' }] }] } }),
      [],
    );
    assert.notDeepEqual(await problemsOf({ ...pod, spec: {} }), []);
  });

  test('a stack: workloads, services, volumes, configuration, secrets, networks, probes, limits', async () => {
    const { manifests, report } = await convert(`
services:
  web:
    image: nginx:1.27
    ports: ["8080:80", "127.0.0.1:9090:90"]
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    configs: [{ source: conf, target: /etc/app.conf, mode: 0440 }]
    secrets: [{ source: password, mode: 0400 }]
    networks: { front: { aliases: [www] }, back: {} }
    healthcheck: { test: curl -f http://localhost, interval: 5s, timeout: 2s, retries: 4, start_period: 20s }
    deploy:
      replicas: 3
      update_config: { parallelism: 2, order: start-first }
      resources: { limits: { cpus: "0.5", memory: 64M }, reservations: { cpus: "0.25", memory: 32M } }
    environment: { COST: "$$(x)", YES: "yes" }
    read_only: true
    user: "10:20"
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 90s
    command: ["serve", "$$(A)"]
  db:
    image: postgres:16
    expose: ["5432"]
    volumes: ["data:/var/lib/postgresql/data", "./app.conf:/etc/app.conf:ro"]
    networks: [back]
    shm_size: 128m
  migrate: { image: shop/migrate, command: up, networks: [back] }
  agent: { image: agent, deploy: { mode: global } }
  nightly: { image: nightly, deploy: { mode: replicated-job } }
networks:
  front: {}
  back: { internal: true }
volumes: { data: {} }
configs: { conf: { file: ./app.conf } }
secrets: { password: { environment: PASSWORD } }
`);
    assert.deepEqual(names(manifests), [
      'Secret/shop-password',
      'ConfigMap/db-app-conf',
      'ConfigMap/shop-conf',
      'PersistentVolumeClaim/shop-data',
      'NetworkPolicy/network-back',
      'NetworkPolicy/network-default',
      'NetworkPolicy/network-front',
      'NetworkPolicy/web-published',
      'Service/agent',
      'Service/db',
      'Service/web',
      'Service/web-published',
      'Service/www',
      'DaemonSet/agent',
      'StatefulSet/db',
      'Job/nightly',
      'Deployment/web',
    ]);
    const web = find(manifests, 'Deployment/web');
    const container = containerOf(web);
    assert.equal(web['spec'].replicas, 3);
    assert.deepEqual(web['spec'].strategy.rollingUpdate, { maxSurge: 2, maxUnavailable: 0 });
    assert.deepEqual(container['resources'], {
      limits: { cpu: '500m', memory: '67108864' },
      requests: { cpu: '250m', memory: '33554432' },
    });
    assert.deepEqual(container['args'], ['serve', '$$(A)']);
    assert.deepEqual(container['env'], [
      { name: 'COST', value: '$$(x)' },
      { name: 'YES', value: 'yes' },
    ]);
    assert.deepEqual(container['readinessProbe'], {
      exec: { command: ['/bin/sh', '-c', 'curl -f http://localhost'] },
      periodSeconds: 5,
      timeoutSeconds: 2,
      failureThreshold: 4,
    });
    assert.equal(container['startupProbe'].failureThreshold, 8);
    assert.deepEqual(container['securityContext'], {
      runAsUser: 10,
      runAsGroup: 20,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      allowPrivilegeEscalation: false,
    });
    const { spec } = web['spec'].template;
    assert.equal(spec.terminationGracePeriodSeconds, 90);
    assert.deepEqual(
      spec.initContainers.map((one: Manifest) => one['name']),
      ['wait-for-db', 'migrate'],
    );
    assert.match(spec.initContainers[0].command[2], /nc -w 2 db 5432 -e true/);
    const [config, secret] = spec.volumes;
    assert.deepEqual(config.configMap, { name: 'shop-conf', items: [{ key: 'conf', path: 'conf', mode: 0o440 }] });
    assert.deepEqual(secret.secret, {
      secretName: 'shop-password',
      items: [{ key: 'password', path: 'password', mode: 0o400 }],
    });
    assert.equal(
      Buffer.from(find(manifests, 'Secret/shop-password')['data'].password, 'base64').toString(),
      'from-the-environment',
    );
    assert.equal(find(manifests, 'ConfigMap/shop-conf')['data'].conf, 'listen = 80\n');
    assert.deepEqual(find(manifests, 'Service/web-published')['spec'].ports, [
      { name: 'tcp-8080', port: 8080, targetPort: 80, protocol: 'TCP' },
    ]);
    assert.equal(find(manifests, 'Service/agent')['spec'].clusterIP, 'None');
    const db = find(manifests, 'StatefulSet/db')['spec'];
    assert.equal(db.serviceName, 'db');
    assert.deepEqual(db.template.spec.volumes[0], { name: 'data', persistentVolumeClaim: { claimName: 'shop-data' } });
    assert.deepEqual(db.template.spec.volumes.at(-1), {
      name: 'shm',
      emptyDir: { medium: 'Memory', sizeLimit: String(128 << 20) },
    });
    assert.deepEqual(find(manifests, 'NetworkPolicy/network-back')['spec'].policyTypes, ['Ingress', 'Egress']);
    assert.equal(find(manifests, 'Job/nightly')['spec'].template.spec.restartPolicy, 'Never');
    assert.ok(
      report.includes(
        'services.web.ports: 9090 is published on 127.0.0.1 alone: it is not published (kubectl port-forward leads to it)',
      ),
    );
  });

  test('every field without a counterpart is reported, by its name', async () => {
    const { report } = await convert(`
services:
  web:
    image: nginx
    build: .
    container_name: ww
    cgroup_parent: /x
    cpu_shares: 100
    cpuset: "0"
    devices: ["/dev/fuse"]
    domainname: example.org
    init: true
    logging: { driver: json-file }
    mac_address: "02:42:ac:11:00:02"
    mem_swappiness: 10
    memswap_limit: 1g
    oom_kill_disable: true
    oom_score_adj: 10
    pids_limit: 5
    stop_signal: SIGINT
    ulimits: { nofile: 10 }
    user: www-data
    group_add: [audio]
    hostname: not_a_label
    restart: on-failure
    userns_mode: keep-id
    extra_hosts: ["h:host-gateway"]
    pull_policy: build
    gpus: all
    security_opt: ["seccomp=profile.json"]
    secrets: [{ source: s, uid: "5" }]
    volumes: ["/srv:/srv", "other:/o"]
    networks: { n: { ipv4_address: 10.1.0.5 } }
    deploy:
      restart_policy: { condition: any }
      rollback_config: { parallelism: 1 }
      update_config: { failure_action: rollback }
      placement: { constraints: ["node.role == manager"] }
      labels: { a: b }
    post_start: [{ command: a, user: root }, { command: b }]
networks: { n: { driver: macvlan, ipam: { config: [{ subnet: 10.1.0.0/16 }] } } }
secrets: { s: { external: true } }
volumes: { other: { driver: nfs } }
`);
    const told = new Set(report.map((line) => line.slice(0, line.indexOf(': '))));
    const keys =
      'build container_name cgroup_parent cpu_shares cpuset devices domainname init logging mac_address mem_swappiness ' +
      'memswap_limit oom_kill_disable oom_score_adj pids_limit stop_signal ulimits user group_add hostname restart ' +
      'extra_hosts pull_policy gpus security_opt secrets[0] volumes[0] networks.n.ipv4_address deploy.restart_policy ' +
      'deploy.rollback_config deploy.update_config.failure_action deploy.placement.constraints deploy.labels post_start ' +
      'post_start.user';
    for (const key of keys.split(' ')) assert.ok(told.has(`services.web.${key}`), `${key}: ${report.join('\n')}`);
    for (const key of ['networks.n.driver', 'networks.n.ipam', 'secrets.s', 'volumes.other', 'volumes.other.driver'])
      assert.ok(told.has(key), key);
  });

  test('files: one for all or one for each object, secrets for their owner alone; failing on findings', async () => {
    const file = join(directory, 'small.yaml');
    fs.writeFileSync(
      file,
      'name: small\nservices: { a: { image: x, container_name: yy, secrets: [s] } }\nsecrets: { s: { environment: HOME } }\n',
    );
    const run = (...flags: string[]) =>
      runInProcess(['compose', '-f', file, 'convert', ...flags], { env: { HOME: directory } });
    assert.equal((await run('--to', 'kubernetes', '--fail-on-findings', '-q')).code, 2);
    await run('--to', 'kubernetes', '-o', `${directory}/out/`);
    assert.deepEqual(fs.readdirSync(join(directory, 'out')).sort(), [
      'a-deployment.yaml',
      'a-service.yaml',
      'network-default-networkpolicy.yaml',
      'small-s-secret.yaml',
    ]);
    assert.equal(fs.statSync(join(directory, 'out/small-s-secret.yaml')).mode & 0o777, 0o600);
    assert.equal(JSON.parse((await run('--to', 'kubernetes', '--format', 'json')).stdout).kind, 'List');
    assert.match((await run('--to', 'nomad')).stderr, /unknown system "nomad": use kubernetes/);
    assert.match((await run()).stdout, /^name: small/);
  });
});
