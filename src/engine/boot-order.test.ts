import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerRecord } from '../state/containers.ts';
import { bootOrder } from './boot-order.ts';

function container(id: string, service: string, needs = '', project = 'p'): ContainerRecord {
  return {
    id,
    hostConfig: {},
    config: {
      Labels: {
        'com.docker.compose.project': project,
        'com.docker.compose.service': service,
        'com.docker.compose.depends_on': needs,
      },
    },
  } as unknown as ContainerRecord;
}

const order = (...records: ContainerRecord[]): string[] => bootOrder(records, records).map(({ record }) => record.id);

test('what is needed starts first, whatever the order of the records', () => {
  const web = container('1', 'web', 'app:service_started:false');
  const app = container('2', 'app', 'db:service_healthy:false,job:service_completed_successfully:false');
  const db = container('3', 'db');
  const steps = bootOrder([web, app, db], [web, app, db]);
  assert.deepEqual(
    steps.map(({ record, after }) => [record.id, after]),
    [
      ['3', []],
      ['2', [{ id: '3', healthy: true }]],
      ['1', [{ id: '2', healthy: false }]],
    ],
  );
});

test('every container of a service is needed; those of another project are not', () => {
  const web = container('1', 'web', 'db:service_started:false');
  const dbs = [container('2', 'db'), container('3', 'db'), container('4', 'db', '', 'other')];
  const steps = bootOrder([web, ...dbs], [web, ...dbs]);
  assert.deepEqual(steps.find(({ record }) => record.id === '1')!.after, [
    { id: '2', healthy: false },
    { id: '3', healthy: false },
  ]);
});

test('one that runs already is waited for too, a circle is cut open', () => {
  const web = container('1', 'web', 'db:service_healthy:false');
  const db = container('2', 'db');
  assert.deepEqual(bootOrder([web], [web, db])[0]!.after, [{ id: '2', healthy: true }]);
  assert.deepEqual(
    order(container('1', 'a', 'b:service_started:false'), container('2', 'b', 'a:service_started:false')),
    ['2', '1'],
  );
});

test('containers without labels start as they are', () => {
  const plain = { id: '9', hostConfig: {}, config: {} } as unknown as ContainerRecord;
  assert.deepEqual(bootOrder([plain], [plain]), [{ record: plain, after: [] }]);
});

test('who shares the namespaces of another starts after it', () => {
  const plain = (id: string, name: string, hostConfig: object): ContainerRecord =>
    ({ id, name, hostConfig, config: {} }) as unknown as ContainerRecord;
  const infra = plain('9', 'pod-infra', { NetworkMode: 'bridge' });
  const byId = plain('1', 'pod-a', { NetworkMode: 'container:9', IpcMode: 'container:9' });
  const byName = plain('2', 'pod-b', { PidMode: 'container:pod-infra' });
  const lost = plain('3', 'other', { NetworkMode: 'container:gone' });
  assert.deepEqual(
    bootOrder([byId, byName, lost, infra], [byId, byName, lost, infra]).map(({ record, after }) => [record.id, after]),
    [
      ['9', []],
      ['1', [{ id: '9', healthy: false }]],
      ['2', [{ id: '9', healthy: false }]],
      ['3', []],
    ],
  );
});
