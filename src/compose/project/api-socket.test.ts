import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceHash } from '../model/hash.ts';
import { asDict, type Dict } from '../model/value.ts';
import { usesApiSocket, withApiSocket } from './api-socket.ts';
import type { Project, Service } from './project.ts';

function projectOf(services: Readonly<Record<string, Dict>>): Project {
  const made = Object.entries(services).map(([name, model]): [string, Service] => [
    name,
    { name, model, replicas: 1, dependencies: new Map(), image: 'busybox', builds: false },
  ]);
  return { name: 'api', directory: '/', files: [], services: new Map(made), model: {}, environment: new Map() };
}

const service = (more: Dict): Dict => ({
  command: ['sleep', '100'],
  image: 'busybox',
  networks: { default: null },
  ...more,
});

test("a container is the same whether Docker's Compose or ours gave it the engine", () => {
  const project = projectOf({
    a: service({ use_api_socket: true }),
    c: service({ use_api_socket: true, environment: { DOCKER_CONFIG: '/x' } }),
    plain: service({}),
  });
  assert.equal(usesApiSocket(project), true);
  const { services, model } = withApiSocket(project, { socket: '/var/run/docker.sock', credentials: '{}' });
  // as Docker's Compose 2.40.3 labels them
  const hashes = ['a', 'c'].map((name) => serviceHash(services.get(name)!.model));
  assert.deepEqual(hashes, [
    '78d112fdb71e566396b9e42bdc70cc050ae3417ea67f687e5cc6a56248215af8',
    '252bbbae821f5291dd2ec680f69b7a4b31af91d186f60fadd8b88f8333a235f7',
  ]);
  assert.equal(asDict(services.get('c')!.model['environment'])['DOCKER_CONFIG'], '/x');
  assert.equal(services.get('plain'), project.services.get('plain'));
  assert.deepEqual(
    Object.values(asDict(model['configs'])).map((config) => asDict(config)['content']),
    ['{}'],
  );
});

test('nothing of it without a service that asks', () => {
  assert.equal(usesApiSocket(projectOf({ a: service({ use_api_socket: false }), b: service({}) })), false);
});
